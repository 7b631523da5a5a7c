"""Whole command lines against a server: what they print, where, and how they end."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.cli.kubectl.conftest import MANIFEST, Ended, Kubectl, edit_with
from tests.waiting import answered

EVENTS = """\
apiVersion: v1
kind: Event
metadata: {name: first}
involvedObject: {apiVersion: v1, kind: Pod, namespace: default, name: p}
type: Normal
reason: Pulled
message: ok
lastTimestamp: "2026-01-01T00:00:00Z"
---
apiVersion: v1
kind: Event
metadata: {name: second}
involvedObject: {apiVersion: v1, kind: Pod, namespace: default, name: p}
type: Warning
reason: Failed
message: oh
count: 3
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-02T00:00:00Z"
"""


async def test_objects_come_change_and_go(kubectl: Kubectl, tmp_path: Path) -> None:
    made = "configmap/conf created\ndeployment.apps/web created\n"
    assert await kubectl("apply", "-f", "MANIFEST") == Ended(0, made, "")
    same = "configmap/conf unchanged\ndeployment.apps/web unchanged\n"
    assert await kubectl("apply", "-f", "MANIFEST") == Ended(0, same, "")
    of_nobody = tmp_path / "conf.yaml"  # no controller writes to it between the two looks that are compared
    of_nobody.write_text(MANIFEST.partition("---")[0])
    assert await kubectl("diff", "-f", str(of_nobody)) == Ended(0, "", "")
    assert await kubectl("label", "cm", "conf", "x=y") == Ended(0, "configmap/conf labeled\n", "")
    assert await kubectl("get", "cm", "-l", "x=y", "-o", "name") == Ended(0, "configmap/conf\n", "")
    assert (await kubectl("get", "cm", "conf", "--show-labels", "--no-headers")).out.split()[-1] == "app=web,x=y"
    assert await kubectl("label", "-f", str(of_nobody), "x-") == Ended(0, "configmap/conf unlabeled\n", "")
    updated = Ended(0, "deployment.apps/web image updated\n", "")
    assert await kubectl("set", "image", "deploy/web", "web=nginx:2") == updated
    assert await kubectl("set", "image", "deploy/web", "web=nginx:2") == Ended(0, "", "")
    assert await kubectl("expose", "deploy", "web") == Ended(0, "service/web exposed\n", "")
    assert await kubectl("scale", "deploy/web", "--replicas=2") == Ended(0, "deployment.apps/web scaled\n", "")
    gone = 'configmap "conf" deleted from default namespace\n'
    assert await kubectl("delete", "cm", "conf") == Ended(0, gone, "")
    missing = 'Error from server (NotFound): configmaps "conf" not found\n'
    assert await kubectl("get", "cm", "conf") == Ended(1, "", missing)
    assert await kubectl("get", "cm", "conf", "--ignore-not-found") == Ended(0, "", "")


async def test_what_nobody_has_is_said_on_stderr(kubectl: Kubectl) -> None:
    assert await kubectl("get", "pods") == Ended(0, "", "No resources found in default namespace.\n")
    assert await kubectl("get", "pods", "-A") == Ended(0, "", "No resources found\n")
    unknown = 'error: the server doesn\'t have a resource type "nopes"\n'
    assert await kubectl("get", "nopes") == Ended(1, "", unknown)


async def test_who_one_is_and_what_one_may_do(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "get", "pods") == Ended(0, "yes\n", "")
    assert re.search("^Username +system:admin$", (await kubectl("auth", "whoami")).out, re.MULTILINE)
    assert (await kubectl("auth", "can-i", "--list")).out.splitlines()[0].split("  ")[0] == "Resources"


async def test_nodes_are_closed_marked_and_emptied(kubectl: Kubectl, tmp_path: Path) -> None:
    node = tmp_path / "node.yaml"
    node.write_text("{apiVersion: v1, kind: Node, metadata: {name: n1}}")
    assert (await kubectl("create", "-f", str(node))).out == "node/n1 created\n"
    assert (await kubectl("cordon", "n1")).out == "node/n1 cordoned\n"
    assert (await kubectl("cordon", "n1")).out == "node/n1 already cordoned\n"
    assert (await kubectl("taint", "node", "n1", "a=b:NoSchedule")).out == "node/n1 tainted\n"
    overrides = '{"spec": {"nodeName": "n1"}}'
    assert (await kubectl("run", "bare", "--image=nginx", f"--overrides={overrides}")).out == "pod/bare created\n"
    refused = await kubectl("drain", "n1")
    assert refused.status == 1
    assert "cannot delete Pods that declare no controller (use --force to override): default/bare" in refused.err
    paged = (await kubectl("drain", "n1", "--force", "--dry-run=client", "--chunk-size=7", "-v=6")).err
    assert "pods?fieldSelector=spec.nodeName%3Dn1&limit=7" in paged
    drained = await kubectl("drain", "n1", "--force", "--dry-run=server")
    assert drained.out == (
        "node/n1 already cordoned (server dry run)\nevicting pod default/bare (server dry run)\n"
        "node/n1 drained (server dry run)\n"
    )
    drain = asyncio.create_task(kubectl("drain", "n1", "--force", "--timeout=60s"))
    leaving = ("get", "pod", "bare", "-o=jsonpath={.metadata.deletionTimestamp}")
    await answered(lambda: kubectl(*leaving), lambda told: "Z" in told.out)
    assert not drain.done()
    await kubectl("delete", "pod", "bare", "--force", "--grace-period=0")
    assert (await drain).status == 0


async def test_an_object_is_edited(kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_with('#!/bin/sh\nsed -i \'s/a: "1"/a: "2"/\' "$1"\n', tmp_path, monkeypatch)
    await kubectl("apply", "-f", "MANIFEST")
    assert await kubectl("edit", "cm", "conf") == Ended(0, "configmap/conf edited\n", "")
    assert (await kubectl("get", "cm", "conf", "-o", "jsonpath={.data.a}")).out == "2"
    assert await kubectl("edit", "cm", "conf") == Ended(0, "", "Edit cancelled, no changes made.\n")


async def test_several_objects_are_edited_in_one_file(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_with('#!/bin/sh\ngrep -q "kind: List" "$1" && sed -i "s/x: old/x: new/" "$1"\n', tmp_path, monkeypatch)
    for name in ("one", "two", "three"):
        await kubectl("create", "configmap", name, f"--from-literal=x={'same' if name == 'three' else 'old'}")
    told = await kubectl("edit", "cm", "one", "two", "three", "--output-patch")
    lines = "".join(f'Patch: {{"data":{{"x":"new"}}}}\nconfigmap/{name} edited\n' for name in ("one", "two"))
    assert told == Ended(0, f"{lines}configmap/three skipped\n", "")
    assert await kubectl("edit", "cm") == Ended(0, "", "Edit cancelled, no changes made.\n")


async def test_what_the_server_refuses_is_edited_again(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    edit_with(f'#!/bin/sh\ncp "$1" {tmp_path}/shown\nsed -i "s/x: .*/x: [y]/" "$1"\n', tmp_path, monkeypatch)
    await kubectl("create", "configmap", "one", "--from-literal=x=old")
    told = await kubectl("edit", "cm", "one")
    assert told.status == 1
    first, stored, last = told.err.splitlines()
    assert first == 'error: configmaps "one" is invalid'
    assert last == "error: Edit cancelled, no valid changes were saved."
    copy = tmp_path / stored.rpartition("/")[2].rstrip('"')
    assert stored == f'A copy of your changes has been stored to "{copy}"'
    assert "x: [y]" in copy.read_text()
    assert '# configmaps "one" was not valid:\n# * patch: Invalid value: ' in (tmp_path / "shown").read_text()


@pytest.mark.parametrize(
    ("script", "status", "told"),
    [
        pytest.param(': > "$1"', 0, "^Edit cancelled, saved file was empty.\n$", id="nothing is left"),
        pytest.param("exit 3", 1, '^error: there was a problem with the editor ".*editor"\n$', id="the editor fails"),
        pytest.param(
            'sed -i "s/name: one/name: two/" "$1"',
            1,
            "\nerror: At least one of apiVersion, kind and name was changed\n$",
            id="another object",
        ),
        pytest.param(
            'grep -q "# The edited file had a syntax error: " "$1" || echo "{" >> "$1"',
            1,
            "\nerror: Edit cancelled, no valid changes were saved.\n$",
            id="no YAML, and left so",
        ),
    ],
)
async def test_what_comes_to_nothing(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, status: int, told: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    edit_with(f"#!/bin/sh\n{script}\n", tmp_path, monkeypatch)
    await kubectl("create", "configmap", "one", "--from-literal=x=old")
    ended = await kubectl("edit", "cm", "one")
    assert (ended.status, ended.out) == (status, "")
    assert re.search(told, ended.err), ended.err


async def test_an_object_is_edited_before_it_is_made(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_with('#!/bin/sh\nsed -i "s/name: web/name: other/" "$1"\n', tmp_path, monkeypatch)
    made = "deployment.apps/other created\n"
    assert await kubectl("create", "--edit", "-f", "MANIFEST") == Ended(0, made, "Edit cancelled, no changes made.\n")
    both = "error: --raw and --edit are mutually exclusive\n"
    assert await kubectl("create", "--edit", "--raw=/api", "-f", "MANIFEST") == Ended(1, "", both)


async def test_what_a_file_says_is_exposed_and_scaled_before_it_is_made(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(MANIFEST.partition("---")[2])
    assert await kubectl("expose", "-f", str(file)) == Ended(0, "service/web exposed\n", "")
    bare = tmp_path / "bare.yaml"
    bare.write_text(file.read_text().replace("  selector: {matchLabels: {app: web}}\n", ""))
    none = (
        "error: couldn't retrieve selectors via --selector flag or introspection: invalid deployment: no selectors, "
        "therefore cannot be exposed\n"
    )
    assert await kubectl("expose", "-f", str(bare)) == Ended(1, "", none)
    scaled = "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    assert await kubectl("autoscale", "-f", str(file), "--max=2") == Ended(0, scaled, "")


async def test_objects_are_sorted_without_the_servers_columns(kubectl: Kubectl) -> None:
    for name, value in (("one", "c"), ("two", "a"), ("three", "b")):
        await kubectl("create", "configmap", name, f"--from-literal=x={value}")
    line = ("get", "cm", "one", "two", "three", "--sort-by=.data.x", "--server-print=false", "--no-headers")
    shown = (await kubectl(*line)).out
    assert [row.split()[0] for row in shown.splitlines()] == ["two", "three", "one"]
    assert all(len(row.split()) == 2 for row in shown.splitlines())


async def test_help_is_told_of_a_command(kubectl: Kubectl) -> None:
    assert (await kubectl("help", "rollout", "status")).out.startswith("Usage: pylet kubectl rollout status")
    assert (await kubectl("help", "nope")).out.startswith('Unknown help topic "nope"\n')


async def test_requests_are_told_of(kubectl: Kubectl) -> None:
    told = (await kubectl("get", "cm", "-v=6")).err
    url = r"https://127.0.0.1:\d+/api/v1/namespaces/default/configmaps\?limit=500"
    line = rf'I\d{{4}} [\d:.]+ +\d+ http.py\] "Response" verb="GET" url="{url}" status="200 OK" milliseconds=\d+\n'
    assert re.fullmatch(line, told)
    bodies = (await kubectl("get", "cm", "-v=8")).err
    assert '"Request" verb="GET"' in bodies
    assert '"Response Body" body="{\\"kind\\":\\"Table\\"' in bodies
    assert (await kubectl("get", "cm", "-v=x")).status == 1


async def test_files_are_sent_to_paths_as_they_are(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"}}')
    path = "/api/v1/namespaces/default/configmaps"
    assert '"name":"raw"' in (await kubectl("create", "--raw", path, "-f", str(file))).out
    assert '"name":"raw"' in (await kubectl("replace", "--raw", f"{path}/raw", "-f", str(file))).out
    assert '"status":"Success"' in (await kubectl("delete", "--raw", f"{path}/raw")).out


async def test_kinds_and_fields_are_explained(kubectl: Kubectl) -> None:
    explained = await kubectl("explain", "deploy.spec.replicas")
    assert explained.out.startswith(
        "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: replicas <integer>\n"
    )
    assert (await kubectl("explain", "pod.spec.nope")).err == 'error: field "nope" does not exist\n'


@pytest.mark.parametrize(
    ("line", "err"),
    [
        ("zzz", 'error: unknown command "zzz" for "kubectl"\n'),
        ("list", 'error: unknown command "list" for "kubectl"\n\nDid you mean this?\n\tget\n'),
        ("get pods --nope", "error: unknown flag: --nope\nSee 'kubectl get --help' for usage.\n"),
        ("get pods a -A", "error: a resource cannot be retrieved by name across all namespaces\n"),
        (
            "create role r --verb=get --resource=deployments.nope",
            'the server doesn\'t have a resource type "deployments" in group "nope"\n',
        ),
        ("get pods --context=x", "Error in configuration: context was not found for specified context: x\n"),
        (
            "get ns --request-timeout=1p",
            "error: Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a "
            "corresponding time unit (e.g. 1s | 2m | 3h)\n",
        ),
        ("set env -f - -", "error: standard input cannot be used for multiple arguments\n"),
        ("exec -f MANIFEST -- true", "error: cannot exec into multiple objects at a time\n"),
        ("label cm x a=b=c", "error: invalid label spec: a=b=c\n"),
        (
            "annotate cm x a=b a-",
            "error: can not both modify and remove the following annotation(s) in the same command: a\n",
        ),
        ("apply", "error: must specify one of -f and -k\n"),
        ("apply x", "error: Unexpected args: [x]\nSee 'kubectl apply -h' for help and examples\n"),
    ],
)
async def test_what_can_not_be_done_is_one_clear_line(kubectl: Kubectl, line: str, err: str) -> None:
    assert await kubectl(*line.split()) == Ended(1, "", err)


async def test_a_group_alone_tells_of_its_commands(kubectl: Kubectl) -> None:
    told = await kubectl("config")
    assert (told.status, told.err) == (1, "")
    assert "get-contexts" in told.out
    assert (await kubectl()).status == 0


async def test_options_of_all_commands_may_stand_before_the_last_word(kubectl: Kubectl) -> None:
    options = ["--as=someone", "--as-group=a", "--as-group=b", "--as-uid=7", "--as-user-extra=k/v=w"]
    told = (await kubectl("auth", *options, "whoami")).out
    for line in ("Username +someone", "UID +7", r"Groups +\[a b system:authenticated\]", r"Extra: k/v +\[w\]"):
        assert re.search(f"^{line}$", told, re.MULTILINE)
    alone = "error: requesting uid, groups or user-extra for default without impersonating a user\n"
    assert await kubectl("get", "ns", "--as-group=a") == Ended(1, "", alone)


async def test_a_warning_can_be_an_error(kubectl: Kubectl) -> None:
    told = await kubectl("get", "endpoints", "--warnings-as-errors")
    assert told.status == 1
    assert told.err.splitlines()[-1] == "error: 1 warning received"


async def test_events_are_shown_of_one_object_and_type(kubectl: Kubectl, tmp_path: Path) -> None:
    events = tmp_path / "events.yaml"
    events.write_text(EVENTS)
    await kubectl("create", "-f", str(events))
    assert re.fullmatch(
        r"LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n\w+ \(x3 over \w+\) +Warning +Failed +Pod/p +oh\n",
        (await kubectl("events", "--for=pod/p", "--types=warning")).out,
    )
    assert (await kubectl("events", "--no-headers")).out.count("\n") == 2
    assert await kubectl("events", "--for=pod/q") == Ended(0, "", "No events found in default namespace.\n")
    assert (await kubectl("events", "--types=Odd")).err == "error: valid --types are Normal or Warning\n"
