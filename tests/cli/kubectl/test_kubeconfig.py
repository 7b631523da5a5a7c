"""What a kubeconfig and the options of all commands make of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylet.client import kubeconfig

CONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://a:1", "tls-server-name": "a"}}],
    "users": [{"name": "u", "user": {"token": "t", "exec": {"command": "x"}, "client-key-data": "a2V5"}}],
}


def test_options_go_before_what_the_file_says(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"other")
    given = {"server": "https://b:2", "tls-server-name": "b", "client-key": str(key), "as": "x", "as-groups": ["g"]}
    found = kubeconfig.endpoint(CONFIG, given=given)
    assert (found.server, found.tls_server_name, found.key, found.token) == ("https://b:2", "b", b"other", "t")
    assert found.impersonation == (("Impersonate-User", "x"), ("Impersonate-Group", "g"))
    assert kubeconfig.endpoint(CONFIG).key == b"key"


def test_another_version_is_none_that_is_known(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("{apiVersion: v-1, kind: Config}")
    with pytest.raises(kubeconfig.KubeconfigError, match='no kind "Config" is registered for "v-1"'):
        kubeconfig.load([file])
