"""What a kubeconfig and the options of all commands make of a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pylet.cli import run
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


@pytest.mark.parametrize(
    "text",
    [
        "users: x",
        "clusters: [x]",
        "contexts: [{name: 1}]",
        "users: [{name: a, user: b}]",
        "a: !!int b",
        "!!timestamp x",
    ],
)
def test_what_is_of_another_shape_is_told_in_one_line(text: str) -> None:
    with pytest.raises(kubeconfig.KubeconfigError, match="error loading config file"):
        kubeconfig.parse(Path("f"), text.encode())


def test_another_version_is_none_that_is_known(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("{apiVersion: v-1, kind: Config}")
    with pytest.raises(kubeconfig.KubeconfigError, match='no kind "Config" is registered for "v-1"'):
        kubeconfig.load([file])


TWO_FILES = {
    "a": {"contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}], "current-context": "one"},
    "b": {"contexts": [{"name": "two", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u"}]},
}


@pytest.mark.parametrize(
    ("line", "told", "file", "field", "value"),
    [
        ("use-context two", 'Switched to context "two".\n', "a", "current-context", "two"),
        (
            "set-context --current --namespace=n",
            'Context "one" modified.\n',
            "a",
            "contexts",
            [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        ),
        (
            "set-context two --user=v",
            'Context "two" modified.\n',
            "b",
            "contexts",
            [{"name": "two", "context": {"cluster": "c", "user": "v"}}],
        ),
        (
            "set-context new --cluster=c",
            'Context "new" created.\n',
            "a",
            "contexts",
            [
                {"name": "new", "context": {"cluster": "c", "user": ""}},
                {"name": "one", "context": {"cluster": "c", "user": "u"}},
            ],
        ),
        ("use-context none", 'error: no context exists with the name: "none"\n', "a", "current-context", "one"),
        (
            "set-context",
            "error: you must specify a non-empty context name or --current\n",
            "a",
            "current-context",
            "one",
        ),
    ],
)
def test_contexts_are_changed_where_they_are(
    line: str,
    told: str,
    file: str,
    field: str,
    value: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, document in TWO_FILES.items():
        (tmp_path / name).write_text(json.dumps(document))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert run(["kubectl", "config", *line.split()]) == (1 if told.startswith("error") else 0)
    captured = capsys.readouterr()
    assert captured.out + captured.err == told
    written = kubeconfig.parse(tmp_path / file, (tmp_path / file).read_bytes())
    assert written[field] == value
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
