"""Which user of a kubeconfig is shown to whom, and as what."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylet.client.kubeconfig import KubeconfigError
from pylet.server.credentials import NONE, FromKubeconfig

USERS = (
    "hook.ns.svc:8443",
    "hook.ns.svc",
    "*.ns.svc:8443",
    "*.ns.svc",
    "*.svc",
    "example.org:443",
)


def kubeconfig(folder: Path, *users: str, text: str = "") -> FromKubeconfig:
    file = folder / "k.yaml"
    lines = "".join(f"- {{name: '{name}', user: {{token: '{name}'}}}}\n" for name in users)
    file.write_text(f"users:\n{lines}{text}")
    return FromKubeconfig(file)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("hook.ns.svc:8443", "hook.ns.svc:8443"),
        ("hook.ns.svc:443", "hook.ns.svc"),
        ("other.ns.svc:8443", "*.ns.svc:8443"),
        ("other.ns.svc:443", "*.ns.svc"),
        ("other.x.svc:443", "*.svc"),
        ("example.org:443", "example.org:443"),
        ("other.x.svc:8443", ""),
        ("example.com:443", ""),
    ],
)
def test_the_nearest_name_is_taken(tmp_path: Path, target: str, shown: str) -> None:
    headers = dict(kubeconfig(tmp_path, *USERS).of(target).headers)
    assert headers.get("Authorization", "") == (f"Bearer {shown}" if shown else "")


def test_who_has_no_name_of_his_own_is_shown_the_star_and_else_the_current_user(tmp_path: Path) -> None:
    current = "current-context: c\ncontexts: [{name: c, context: {user: me}}]"
    assert dict(kubeconfig(tmp_path, "me", "*", text=current).of("a:1").headers)["Authorization"] == "Bearer *"
    assert dict(kubeconfig(tmp_path, "me", text=current).of("a:1").headers)["Authorization"] == "Bearer me"
    assert kubeconfig(tmp_path, "me").of("a:1") == NONE


def test_a_password_and_whom_one_acts_as_are_headers_and_a_certificate_goes_with_its_key(tmp_path: Path) -> None:
    for name in ("crt", "key"):
        (tmp_path / name).write_text(name)
    user = "{username: u, password: p, as: bob, client-certificate: crt, client-key: key}"
    proof = kubeconfig(tmp_path, text=f"- {{name: '*', user: {user}}}\n").of("a:1")
    assert proof.headers == (("Authorization", "Basic dTpw"), ("Impersonate-User", "bob"))
    assert proof.pem == b"crt\nkey"


def test_a_token_is_read_when_it_is_shown(tmp_path: Path) -> None:
    known = kubeconfig(tmp_path, text="- {name: '*', user: {tokenFile: token}}\n")
    with pytest.raises(KubeconfigError, match="unable to read tokenFile"):
        known.of("a:1")
    (tmp_path / "token").write_text("new\n")
    assert known.of("a:1").headers == (("Authorization", "Bearer new"),)
