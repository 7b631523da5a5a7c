"""A node joins with a token and gets a certificate that is worth what a node may do."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.join import Credentials, JoinError, join
from pylet.api.jointoken import JoinToken, ca_hash
from pylet.api.timestamps import format_time
from pylet.client.http import HttpClient
from pylet.server.pki import Pki

SECRETS = "/api/v1/namespaces/kube-system/secrets"


def pin(pki: Pki) -> str:
    return ca_hash(pki.ca.certificate.read_bytes())


async def bootstrap_token(cluster: Any, *, expires_in: timedelta) -> str:
    data = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "expiration": format_time(datetime.now(UTC) + expires_in),
    }
    secret = {
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
    }
    assert (await cluster.ask("POST", SECRETS, secret)).status == 201
    return str(JoinToken("abcdef.0123456789abcdef", pin(cluster.running.pki)))


async def test_the_servers_own_token_makes_a_node_that_sees_its_own(cluster: Any, tmp_path: Path) -> None:
    token = (tmp_path / "server" / "token").read_text().strip()
    credentials = Credentials(tmp_path / "agent")
    await join([cluster.running.url], token, {"n1": credentials})
    async with HttpClient(cluster.running.url, credentials.tls) as node:
        whoami = await node.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert whoami["status"]["userInfo"]["username"] == "system:node:n1"
        assert (await node.request("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1"))["items"] == []
        for path in ("/api/v1/namespaces/default/pods/x", SECRETS, "/api/v1/namespaces/default/configmaps/x"):
            with pytest.raises(Exception, match="forbidden"):
                await node.request("GET", path)


async def test_a_bootstrap_token_joins_until_it_expires(cluster: Any, tmp_path: Path) -> None:
    token = await bootstrap_token(cluster, expires_in=timedelta(hours=1))
    await join([cluster.running.url], token, {"n2": Credentials(tmp_path / "agent")})
    merge = "application/merge-patch+json"
    past = base64.b64encode(b"2020-01-01T00:00:00Z").decode()
    path = f"{SECRETS}/bootstrap-token-abcdef"
    await cluster.ask("PATCH", path, {"data": {"expiration": past}}, Content_Type=merge)
    with pytest.raises(JoinError, match="it has expired"):
        await join([cluster.running.url], token, {"n3": Credentials(tmp_path / "late")})


async def test_a_wrong_secret_or_a_wrong_ca_is_refused(cluster: Any, tmp_path: Path) -> None:
    unknown = str(JoinToken("0" * 32, pin(cluster.running.pki)))
    with pytest.raises(JoinError, match="does not know this token"):
        await join([cluster.running.url], unknown, {"n4": Credentials(tmp_path / "unknown")})
    other = str(JoinToken("0" * 32, "0" * 64))
    with pytest.raises(JoinError, match="is not the one this token was made for"):
        await join([cluster.running.url], other, {"n4": Credentials(tmp_path / "other")})


async def test_who_puts_a_ca_of_his_own_before_the_pinned_one_is_not_trusted(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = cluster.running.pki.ca.certificate.read_bytes()
    own = ssl.DER_cert_to_PEM_cert(b"somebody else's").encode()
    monkeypatch.setattr("pylet.agent.join._fetch_ca", lambda server: own + there)
    token, credentials = (tmp_path / "server" / "token").read_text().strip(), Credentials(tmp_path / "agent")
    await join([cluster.running.url], token, {"n5": credentials})
    assert credentials.ca.read_text().split() == there.decode().split()
