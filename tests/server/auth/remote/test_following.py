"""Configurations that change while the server runs: what is good holds, what is bad is told and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from pylet.aio.clock import VirtualClock
from pylet.server.auth.authorize import Link
from pylet.server.auth.remote.asking import Asker, NoAnswer
from pylet.server.auth.remote.chain import ConfiguredChain, of_webhook, read
from pylet.server.auth.remote.counted import Counted
from pylet.server.auth.remote.following import FollowedFile, Unfit
from pylet.server.auth.remote.issuers import Issuers
from pylet.server.config import ServerConfig
from tests import waiting
from tests.server.conftest import running_server, session

NODE, RBAC = {"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}
ALLOW, DENY = {"type": "AlwaysAllow", "name": "alwaysallow"}, {"type": "AlwaysDeny", "name": "alwaysdeny"}
KUBECONFIG = """
clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: x, context: {cluster: c}}]
current-context: x
"""


def document(*authorizers: Any) -> bytes:
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}
    return orjson.dumps({**head, "authorizers": authorizers})


def chain(*authorizers: Any) -> ConfiguredChain:
    return ConfiguredChain(read(document(*authorizers)), Asker(VirtualClock()), VirtualClock())


async def test_a_chain_changes_as_a_whole() -> None:
    configured = chain(NODE, RBAC)
    assert not await configured.change(document(NODE, RBAC))
    assert await configured.change(document(RBAC, NODE, DENY))
    assert configured.chain.links == (Link("RBAC", "rbac"), Link("Node", "node"), Link("AlwaysDeny", "alwaysdeny"))


@pytest.mark.parametrize(
    ("first", "then", "why"),
    [
        ((NODE, RBAC), (NODE,), r"missing required types: \[RBAC\]"),
        ((NODE,), (NODE, RBAC), "authorizer type RBAC is not allowed if it was not enabled at initial server startup"),
        ((NODE,), ({"type": "Node"},), r"authorizers\[0\].name: Required value"),
        ((NODE,), ({"type": "Node", "name": "x"},), "expected name node for authorizer Node instead of x"),
    ],
)
async def test_a_bad_chain_changes_nothing(first: Any, then: Any, why: str) -> None:
    configured = chain(*first)
    before = configured.chain.links
    with pytest.raises(Unfit, match=why):
        await configured.change(document(*then))
    assert configured.chain.links is before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no configuration has been provided"),
        (KUBECONFIG.replace("server:", "certificate-authority: /nowhere, server:"), "unable to read"),
        (
            KUBECONFIG.replace("http:", "https:").replace("server:", "certificate-authority-data: eA==, server:"),
            "unable to load TLS certificates",
        ),
    ],
    ids=["empty", "no CA", "a bad CA"],
)
async def test_a_webhook_nobody_can_call_changes_nothing(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    webhook = of_webhook(file, "v1")["authorizers"][-1]
    configured = chain(NODE)
    with pytest.raises(Unfit, match=why):
        await configured.change(document(NODE, webhook))


def test_one_webhook_is_asked_last(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    configured = ConfiguredChain(of_webhook(file, "v1"), Asker(VirtualClock()), VirtualClock())
    assert [link.name for link in configured.chain.links] == ["node", "rbac", "default"]


class Keyless:
    """An issuer whose keys cannot be read."""

    def __init__(self, jwt: Any) -> None:
        self.jwt = jwt

    async def read_keys(self) -> None:
        raise NoAnswer("GET x: refused")


async def test_issuers_without_keys_change_nothing_yet() -> None:
    issuers = Issuers({"anonymous": None}, Keyless, (), Counted())  # type: ignore[arg-type]
    jwt = {
        "issuer": {"url": "https://a.test", "audiences": ["x"]},
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    }
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    with pytest.raises(Unfit, match="GET x: refused") as refused:
        await issuers.change(orjson.dumps({**head, "jwt": [jwt]}))
    assert refused.value.may_pass
    with pytest.raises(Unfit, match="anonymous: Forbidden: changed from initial configuration file"):
        await issuers.change(orjson.dumps({**head, "anonymous": {"enabled": False}}))
    assert await issuers.change(orjson.dumps(head))


async def test_who_follows_a_file_counts_what_came_of_it(tmp_path: Path) -> None:
    file, used = tmp_path / "file", []

    async def use(raw: bytes) -> bool:
        if raw == b"bad":
            raise Unfit("is bad")
        used.append(raw)
        return True

    followed = FollowedFile(file, "authorization", b"first", use, VirtualClock())
    for raw in (b"first", b"second", b"bad", b"bad", b"third"):
        file.write_bytes(raw)
        assert not await followed._look()
    assert used == [b"second", b"third"]
    told = "\n".join(followed.metrics())
    reloads = "apiserver_authorization_config_controller_automatic_reloads_total"
    for how, number in (("success", 2), ("failure", 1)):
        (line,) = [line for line in told.split("\n") if line.startswith(reloads) and how in line]
        assert line.endswith(f',status="{how}"}} {number}')
    file.unlink()
    assert await followed._look()


@pytest.mark.parametrize("is_link", [False, True])
async def test_a_server_follows_its_configuration(
    tmp_path: Path, make_config: Callable[..., ServerConfig], is_link: bool
) -> None:
    file = tmp_path / "authorization.json"
    if is_link:
        (tmp_path / "elsewhere").mkdir()
        file.symlink_to(tmp_path / "elsewhere" / "file")
    file.write_bytes(document(NODE, RBAC, DENY))
    async with (
        running_server(make_config(authorization_config=file)) as running,
        session(running.pki, certificate=False) as anyone,
    ):

        async def answered() -> str:
            async with anyone.get(f"{running.url}/api/v1/nodes") as found:
                return f"{found.status} {await found.text()}"

        assert "cluster scope: Everything is forbidden." in await answered()
        file.write_bytes(document(NODE, RBAC, ALLOW, DENY))
        await waiting.answered(answered, lambda text: text.startswith("200"))
        file.write_bytes(b"{}")
        assert (await answered()).startswith("200")


async def test_a_question_nobody_could_answer_is_an_error(
    tmp_path: Path, make_config: Callable[..., ServerConfig]
) -> None:
    kubeconfig, file = tmp_path / "kubeconfig", tmp_path / "authorization.json"
    kubeconfig.write_text(KUBECONFIG)
    webhook = {
        "timeout": "3s",
        "subjectAccessReviewVersion": "v1",
        "failurePolicy": "NoOpinion",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(kubeconfig)},
    }
    file.write_bytes(document({"type": "Webhook", "name": "gone", "webhook": webhook}, RBAC))
    async with (
        running_server(make_config(authorization_config=file)) as running,
        session(running.pki, certificate=False) as anyone,
    ):
        async with anyone.get(f"{running.url}/api/v1/nodes?x=<y>") as found:
            assert (found.status, found.content_type) == (500, "text/plain")
            text = await found.text()
        assert text.startswith('Internal Server Error: "/api/v1/nodes?x=')
        assert 'Post "http://127.0.0.1:1?timeout=3s": dial tcp 127.0.0.1:1: connect: connection refused' in text
        async with anyone.get(f"{running.url}/version") as found:
            assert found.status == 200
