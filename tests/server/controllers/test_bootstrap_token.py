"""Bootstrap tokens: when they go, and what they sign."""

from __future__ import annotations

import base64
import hmac
from datetime import timedelta

import pytest

from pylet.api.object import Key, Object
from pylet.server.controllers import bootstrap_token
from pylet.server.reconcile.plan import Delete, Patch
from tests.server.controllers.picture import NOW, obj, view


def token(id_: str, *, expires: str = "", **data: str) -> Object:
    data = {"token-id": id_, "token-secret": "s" * 16, "usage-bootstrap-signing": "true", **data}
    if expires:
        data["expiration"] = expires
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    name = f"bootstrap-token-{id_}"
    return obj("v1", "Secret", name, namespace="kube-system", type="bootstrap.kubernetes.io/token", data=encoded)


@pytest.mark.parametrize(
    ("expires", "goes", "again"),
    [("", False, None), ("2026-01-01T12:00:30Z", False, 30), ("2026-01-01T11:00:00Z", True, None), ("?", True, None)],
)
def test_a_bootstrap_token_goes_when_it_expires(expires: str, goes: bool, again: int | None) -> None:
    plan = bootstrap_token.plan(
        Key("kube-system", "bootstrap-token-abcdef"), view(token("abcdef", expires=expires)), NOW
    )
    assert [type(action) for action in plan.actions] == ([Delete] if goes else [])
    assert plan.again_after == (None if again is None else timedelta(seconds=again))


def test_tokens_sign_the_cluster_info_as_long_as_they_may() -> None:
    stale = {"kubeconfig": "content", "jws-kubeconfig-gone00": "x"}
    info = obj("v1", "ConfigMap", "cluster-info", namespace="kube-public", data=stale)
    expired = token("expire", expires="2026-01-01T11:00:00Z")
    silent = token("silent", **{"usage-bootstrap-signing": "false"})
    picture = view(info, token("abcdef"), expired, silent)
    (patch,) = bootstrap_token.plan(Key("kube-public", "cluster-info"), picture, NOW).actions
    assert isinstance(patch, Patch)
    header, empty, _ = patch.patch["data"]["jws-kubeconfig-abcdef"].split(".")
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"HS256","kid":"abcdef"}'
    assert empty == ""
    assert patch.patch["data"].keys() == {"jws-kubeconfig-abcdef", "jws-kubeconfig-gone00"}
    assert patch.patch["data"]["jws-kubeconfig-gone00"] is None


def test_a_signature_leaves_its_content_out() -> None:
    header, empty, signed = bootstrap_token.signature("content", "abcdef", "secret").split(".")
    whole = f"{header}.{base64.urlsafe_b64encode(b'content').rstrip(b'=').decode()}"
    wanted = hmac.digest(b"secret", whole.encode(), "sha256")
    assert (empty, base64.urlsafe_b64decode(signed + "=")) == ("", wanted)
