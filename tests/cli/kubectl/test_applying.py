"""`apply` and what is beside it: pruning, what was applied last, files of which some are broken."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest

from pylet.cli.failure import Failure
from pylet.cli.kubectl import downloading
from pylet.cli.kubectl.http import ConnectionFailed
from tests.cli.kubectl.conftest import Ended, Kubectl, edit_with


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing, because it would be among what is compared."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The folder's files over HTTP; the URL they are below."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def configmap(name: str, value: str = "1", label: str = "a") -> str:
    meta = {"name": name, "labels": {"set": label}}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": value}}) + "\n---\n"


async def test_what_no_file_says_any_more_is_pruned(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(configmap("one") + configmap("two") + configmap("three", label="b"))
    await kubectl("apply", "-f", str(file))
    await kubectl("create", "configmap", "four")
    await kubectl("label", "configmap", "four", "set=a")
    file.write_text(configmap("one"))
    line = ("-f", str(file), "--prune", "-l", "set=a", "--prune-allowlist=core/v1/ConfigMap")
    told = await kubectl("diff", *line)
    assert told.status == 1
    pruned = "configmap/one unchanged{0}\nconfigmap/two pruned{0}\n"
    dry = await kubectl("apply", *line, "--dry-run=server")
    assert dry == Ended(0, pruned.format(" (server dry run)"), "")
    assert await kubectl("apply", *line) == Ended(0, pruned.format(""), "")
    left = (await kubectl("get", "cm", "-o", "jsonpath={.items[*].metadata.name}")).out.split()
    assert left == ["four", "kube-root-ca.crt", "one", "three"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--prune", "all resources selected for prune without explicitly passing --all. To prune all resources, pass"),
        ("--force-conflicts", "--force-conflicts only works with --server-side"),
        ("--server-side --dry-run=client", "--dry-run=client doesn't work with --server-side"),
        ("--subresource=status", "--subresource can only be specified for --server-side"),
    ],
)
async def test_flags_that_contradict_each_other_are_refused(kubectl: Kubectl, flags: str, told: str) -> None:
    ended = await kubectl("apply", "-f", "MANIFEST", *flags.split())
    assert ended.status == 1
    assert ended.err.startswith(f"error: {told}")


async def test_what_can_not_be_changed_is_made_anew_by_force(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("{apiVersion: v1, kind: Secret, metadata: {name: s}, type: a}")
    await kubectl("apply", "-f", str(file))
    file.write_text("{apiVersion: v1, kind: Secret, metadata: {name: s}, type: b}")
    assert "field is immutable" in (await kubectl("apply", "-f", str(file))).err
    assert await kubectl("apply", "-f", str(file), "--force") == Ended(0, "secret/s configured\n", "")
    assert (await kubectl("get", "secret", "s", "-o", "jsonpath={.type}")).out == "b"


async def test_what_can_not_be_made_anew_is_as_it_was(kubectl: Kubectl, tmp_path: Path) -> None:
    await kubectl("apply", "-f", "MANIFEST")
    file = tmp_path / "m.yaml"
    file.write_text(file.read_text().replace("metadata: {labels: {app: web}}", "metadata: {labels: {app: other}}"))
    refused = await kubectl("apply", "-f", "MANIFEST", "--force")
    assert "`selector` does not match template `labels`" in refused.err
    assert (await kubectl("get", "deploy", "web", "-o", "jsonpath={.metadata.name}")).out == "web"


async def test_what_was_applied_last_is_shown_and_set(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text(configmap("one").removesuffix("---\n"))
    await kubectl("create", "-f", str(file))
    nothing = "error: no last-applied-configuration annotation found on resource: one"
    assert (await kubectl("apply", "view-last-applied", "cm/one")).err == f"{nothing}\n"
    assert (await kubectl("apply", "set-last-applied", "-f", str(file))).err.startswith(f"{nothing}, to create")
    line = ("apply", "set-last-applied", "-f", str(file), "--create-annotation")
    assert await kubectl(*line) == Ended(0, "configmap/one configured\n", "")
    assert await kubectl(*line) == Ended(0, "set-last-applied one: no changes required.\n", "")
    shown = await kubectl("apply", "view-last-applied", "cm/one", "-o", "json")
    assert json.loads(shown.out)["data"] == {"a": "1"}


async def test_what_was_applied_last_is_edited(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_with('#!/bin/sh\nsed -i \'s/"a": "1"/"a": "2"/\' "$1"\n', tmp_path, monkeypatch)
    await kubectl("create", "configmap", "bare")
    nothing = "error: no last-applied-configuration annotation found on resources, to create the annotation"
    assert (await kubectl("apply", "edit-last-applied", "cm/bare")).err.startswith(nothing)
    await kubectl("apply", "-f", "MANIFEST")
    line = ("apply", "edit-last-applied", "cm/conf", "-o", "json")
    assert json.loads((await kubectl(*line)).out)["data"] == {"a": "2"}
    assert 'a: "2"' in (await kubectl("apply", "view-last-applied", "cm/conf")).out
    assert (await kubectl("get", "cm", "conf", "-o", "jsonpath={.data.a}")).out == "1"


async def test_manifests_are_found_by_pattern_and_behind_urls(kubectl: Kubectl, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.json").write_text(configmap(name).removesuffix("---\n"))
    made = "configmap/one created\nconfigmap/two created\n"
    assert await kubectl("create", "-f", f"{folder}/*.json") == Ended(0, made, "")
    missing = f'error: the path "{folder}/*.yaml" does not exist\n'
    assert await kubectl("create", "-f", f"{folder}/*.yaml") == Ended(1, "", missing)
    with serving(folder) as url:
        assert await kubectl("get", "-f", f"{url}/one.json", "-o", "name") == Ended(0, "configmap/one\n", "")
        away = await kubectl("apply", "-f", f"{url}/none.json")
    told = f'error: unable to read URL "{url}/none.json", server reported 404 File not found, status code=404\n'
    assert away == Ended(1, "", told)


async def test_a_broken_file_keeps_no_other_from_being_read(kubectl: Kubectl, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.yaml").write_text("{apiVersion: v1, metadata: {name: a}}")
    (folder / "b.yaml").write_text(configmap("b"))
    unset = (
        f'error: error validating "{folder}/a.yaml": error validating data: kind not set; if you choose to ignore '
        "these errors, turn validation off with --validate=false\n"
    )
    assert await kubectl("apply", "-f", str(folder)) == Ended(1, "configmap/b created\n", unset)
    broken = (
        f"error: unable to decode \"{folder}/a.yaml\": Object 'Kind' is missing in "
        '\'{"apiVersion":"v1","metadata":{"name":"a"}}\'\n'
    )
    assert await kubectl("get", "-f", str(folder), "-o", "name") == Ended(1, "configmap/b\n", broken)
    assert await kubectl("label", "-f", str(folder), "x=y") == Ended(1, "configmap/b labeled\n", broken)
    deleted = 'configmap "b" deleted from default namespace\n'
    assert await kubectl("delete", "-f", str(folder)) == Ended(1, deleted, broken)


async def test_what_is_refused_of_a_file_is_told_with_it(kubectl: Kubectl, tmp_path: Path) -> None:
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_text(f"{{apiVersion: v1, kind: Secret, metadata: {{name: {file.stem}}}, type: a}}")
    line = [word for file in files for word in ("-f", str(file))]
    await kubectl("apply", *line)
    for file in files:
        file.write_text(file.read_text().replace("type: a", "type: b"))
    alone = await kubectl("apply", "-f", str(files[0]))
    assert alone.err == 'The Secret "a" is invalid: type: Invalid value: "b": field is immutable\n'
    both = (await kubectl("apply", *line)).err
    assert both.count("Error from server (Invalid): error when applying patch:\n") == 2
    assert (
        f'\nName: "b", Namespace: "default"\nfor: "{files[1]}": error when patching "{files[1]}": Secret "b" is' in both
    )
    refused = await kubectl("diff", *line)
    assert (refused.status, refused.err) == (2, alone.err)


async def test_json_needs_nothing_between_its_objects(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text(configmap("one").replace("---\n", "") + configmap("two").replace("---\n", ""))
    assert (await kubectl("create", "-f", str(file))).out == "configmap/one created\nconfigmap/two created\n"


async def test_the_command_line_is_recorded(kubectl: Kubectl) -> None:
    path = r"jsonpath={.metadata.annotations.kubernetes\.io/change-cause}"
    told = "Flag --record has been deprecated, --record will be removed in the future\n"
    await kubectl("create", "configmap", "one")
    assert await kubectl("label", "cm", "one", "a=b", "--record") == Ended(0, "configmap/one labeled\n", told)
    cause = (await kubectl("get", "cm", "one", "-o", path)).out
    assert cause.startswith("kubectl label cm one a=b ")
    assert cause.endswith(" --record=true")
    assert (await kubectl("patch", "cm", "one", '-p={"data":{"a":"b"}}', "--record")).out == "configmap/one patched\n"
    assert (await kubectl("get", "cm", "one", "-o", path)).out.startswith("kubectl patch cm one ")


async def test_deleting_asks_first(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    await kubectl("create", "configmap", "one")
    asked = "You are about to delete the following 1 resource(s):\nconfigmap/one\nDo you want to continue? (y/N): "
    for answer, told in (
        ("n\n", "deletion is cancelled\n"),
        ("y\n", 'configmap "one" deleted from default namespace\n'),
    ):
        (tmp_path / "answer").write_text(answer)
        with (tmp_path / "answer").open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            assert await kubectl("delete", "cm", "one", "--interactive") == Ended(0, asked + told, "")


async def test_what_the_client_applied_goes_away_when_the_server_applies(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    wanted = json.loads(configmap("one").removesuffix("---\n"))
    path = "jsonpath={.data}"
    for data, flags, found in (
        ({"a": "1", "old": "1"}, (), '{"a":"1","old":"1"}'),
        ({"a": "1"}, ("--server-side",), '{"a":"1"}'),
        ({"a": "1", "new": "1"}, (), '{"a":"1","new":"1"}'),
        ({"a": "2"}, ("--server-side",), '{"a":"2"}'),
    ):
        file.write_text(json.dumps({**wanted, "data": data}))
        assert (await kubectl("apply", "-f", str(file), *flags)).status == 0
        assert (await kubectl("get", "cm", "one", "-o", path)).out == found


async def test_what_can_not_be_migrated_yet_is_applied_all_the_same(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text(configmap("one").removesuffix("---\n"))
    await kubectl("apply", "-f", str(file))
    file.write_text(configmap("one", "2").removesuffix("---\n"))
    line = ("-f", str(file), "--server-side", "--force-conflicts")
    dry = await kubectl("apply", *line, "--dry-run=server")
    assert (dry.status, dry.out) == (0, "configmap/one serverside-applied (server dry run)\n")
    assert "failed to migrate kubectl.kubernetes.io/last-applied-configuration for Server-Side Apply" in dry.err
    assert ((await kubectl("diff", *line)).status, (await kubectl("diff", *line)).err) == (1, "")


async def test_nulls_of_a_manifest_are_not_sent(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    resources = "{requests: {cpu: null, memory: 1Mi}}"
    file.write_text(
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, image: i, "
        f"resources: {resources}}}]}}}}"
    )
    await kubectl("apply", "-f", str(file))
    path = "jsonpath={.spec.containers[0].resources}"
    assert (await kubectl("get", "pod", "p", "-o", path)).out == '{"requests":{"memory":"1Mi"}}'


async def test_a_revision_that_was_copied_along_is_no_mistake(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    copied = json.loads(configmap("one").removesuffix("---\n"))
    copied["metadata"]["resourceVersion"] = "7"
    file.write_text(json.dumps(copied))
    assert await kubectl("create", "-f", str(file)) == Ended(0, "configmap/one created\n", "")


@pytest.mark.parametrize(
    ("answers", "asked", "told"),
    [
        ([503, OSError("away"), b"x"], 3, "x"),
        ([503, 503, 500], 3, "server reported 500 so, status code=500"),
        ([404], 1, "server reported 404 so, status code=404"),
        ([OSError("a"), OSError("b"), OSError("away")], 3, "away"),
    ],
    ids=["in the end", "never", "not there", "nobody"],
)
def test_a_url_is_tried_again_where_the_server_is_to_blame(
    monkeypatch: pytest.MonkeyPatch, answers: list[int | OSError | bytes], asked: int, told: str
) -> None:
    left = iter(answers)
    urls: list[str] = []

    def urlopen(url: str) -> io.BytesIO:
        urls.append(url)
        answer = next(left)
        if isinstance(answer, int):
            raise HTTPError(url, answer, "so", Message(), None)
        if isinstance(answer, OSError):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.setattr(downloading, "urlopen", urlopen)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    try:
        found = downloading.downloaded("http://a.test/x").decode()
    except (Failure, ConnectionFailed) as failure:
        found = str(failure)
    assert told in found
    assert urls == ["http://a.test/x"] * asked
