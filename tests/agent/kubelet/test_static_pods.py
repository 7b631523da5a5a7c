"""Pods of a directory: what a file becomes, what the API shows of it, and what the rest of the kubelet sees."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.manifests import HASH, MIRROR, BadManifest, as_static, mirror, static_pod
from pylet.agent.kubelet.static_pods import StaticPods
from pylet.aio.clock import VirtualClock
from pylet.api.errors import NotFound
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, key_of
from pylet.client.view import Entry, Table
from tests.waiting import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = b"""\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: c, image: reg/web}]}
"""
KEY = Key("default", "web-n1")


def test_a_file_is_a_pod_of_this_node() -> None:
    pod = static_pod(WEB, "/m/web.yaml", "N1", NOW)
    assert key_of(pod) == KEY
    assert (pod["spec"]["nodeName"], pod["spec"]["restartPolicy"]) == ("N1", "Always")
    assert pod["spec"]["tolerations"] == [{"operator": "Exists", "effect": "NoExecute"}]
    assert pod["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
    other = static_pod(WEB.replace(b"reg/web", b"reg/other"), "/m/web.yaml", "N1", NOW)
    assert other["metadata"]["uid"] != pod["metadata"]["uid"]


def test_its_mirror_belongs_to_the_node() -> None:
    pod = static_pod(WEB, "/m/web.yaml", "n1", NOW)
    shown = mirror(pod, "node-uid")
    assert "uid" not in shown["metadata"]
    assert shown["metadata"]["annotations"][MIRROR] == pod["metadata"]["annotations"][HASH]
    assert shown["metadata"]["ownerReferences"][0]["uid"] == "node-uid"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"kind: Service\napiVersion: v1\nmetadata: {name: a}\nspec: {}", "is no Pod", id="another kind"),
        pytest.param(b"{", "no Pod", id="no YAML"),
        pytest.param(b"- a", "no Pod", id="a list"),
        pytest.param(WEB.replace(b"spec: {", b"spec: {tolerations: 7, "), "no Pod", id="a number of tolerations"),
        pytest.param(WEB.replace(b"spec: {", b"spec: {volumes: [x], "), "no Pod", id="a volume that is a word"),
        pytest.param(b"kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: !!int x", "no Pod", id="an odd tag"),
        pytest.param(b"kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec:", "no Pod", id="no spec"),
        pytest.param(b"kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {}", "Required value", id="no containers"),
        pytest.param(
            WEB.replace(b"spec: {", b"spec: {serviceAccountName: x, "), "serviceAccounts", id="a service account"
        ),
    ],
)
def test_what_is_no_static_pod(text: bytes, words: str) -> None:
    with pytest.raises(BadManifest, match=words):
        static_pod(text, "/m/x", "n1", NOW)


@pytest.mark.parametrize(
    ("phase", "is_told", "kept"),
    [
        pytest.param("Running", False, False, id="told by an earlier kubelet"),
        pytest.param("Running", True, True, id="told by this one"),
        pytest.param("Succeeded", False, True, id="over"),
    ],
)
def test_what_a_mirror_says_of_init_containers(phase: str, *, is_told: bool, kept: bool) -> None:
    pod = static_pod(WEB, "/m/web.yaml", "n1", NOW)
    status = {"phase": phase, "containerStatuses": [{"name": "c"}], "initContainerStatuses": [{"name": "i"}]}
    found = as_static(pod, {"metadata": {"resourceVersion": "7"}, "status": status}, is_told=is_told)
    assert found["metadata"] == {**pod["metadata"], "resourceVersion": "7"}
    assert found["status"].keys() == status.keys() - (set() if kept else {"initContainerStatuses"})


async def test_a_kubelet_that_begins_knows_of_init_containers_what_it_tells_itself(tmp_path: Path) -> None:
    api = Api()
    (tmp_path / "web.yaml").write_bytes(WEB)
    before = StaticPods(api, api.table, VirtualClock(), tmp_path, "n1", lambda: "node-uid")  # type: ignore[arg-type]
    told = {"status": {"phase": "Running", "initContainerStatuses": [{"name": "i"}]}}
    await api.create(POD, mirror(before.pods[KEY], "node-uid"))
    await before.client.patch(POD, KEY, told, subresource="status")
    assert "initContainerStatuses" in before.table.entries[KEY].object["status"]
    after = StaticPods(api, api.table, VirtualClock(), tmp_path, "n1", lambda: "node-uid")  # type: ignore[arg-type]
    assert after.table.entries[KEY].object["status"] == {"phase": "Running"}


class Api:
    """What is created and deleted there, back in the table at once."""

    def __init__(self) -> None:
        self.table = Table(POD)
        self.revision = 0

    async def create(self, kind: object, pod: Object, **options: Any) -> Object:
        if pod["metadata"]["namespace"] == "nowhere":
            raise NotFound("", "namespaces", "nowhere")
        self.revision += 1
        meta = {**pod["metadata"], "uid": f"mirror-{self.revision}", "resourceVersion": str(self.revision)}
        self.table.put(Entry.of(POD, {**pod, "metadata": meta}))
        return {**pod, "metadata": meta}

    async def delete(self, kind: object, key: Key, **options: Any) -> Object:
        found = self.table.remove(key)
        assert found is not None
        return found.object

    async def patch(self, kind: object, key: Key, patch: Object, **options: Any) -> Object:
        self.revision += 1
        old = self.table.entries[key].object
        assert patch["metadata"]["uid"] == old["metadata"]["uid"]
        meta = {**old["metadata"], "resourceVersion": str(self.revision)}
        found = {**old, "metadata": meta, "status": patch["status"]}
        self.table.put(Entry.of(POD, found))
        return found


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_mirrors_follow_the_files(tmp_path: Path) -> None:
    api, file = Api(), tmp_path / "web.yaml"
    file.write_bytes(WEB)
    api.table.put(Entry.of(POD, {"metadata": {"name": "o", "namespace": "x", "uid": "o"}, "spec": {}}))
    static = StaticPods(api, api.table, VirtualClock(), tmp_path, "n1", lambda: "node-uid")  # type: ignore[arg-type]
    assert set(static.table.entries) == {KEY, Key("x", "o")}, "it is there before any server is"
    uid = static.table.entries[KEY].uid
    running = asyncio.create_task(static.run())
    await _settle()
    assert MIRROR in api.table.entries[KEY].object["metadata"]["annotations"]

    told = {"metadata": {"uid": uid}, "status": {"phase": "Running"}}
    answer = await static.client.patch(POD, KEY, told, subresource="status")
    assert answer["metadata"]["uid"] == uid
    assert api.table.entries[KEY].object["status"]["phase"] == "Running"
    with pytest.raises(NotFound):
        await static.client.delete(POD, KEY, uid=uid)

    api.table.remove(KEY)
    await _settle()
    assert KEY in api.table.entries, "who deletes the mirror gets another"
    assert static.table.entries[KEY].uid == uid, "the pod itself never noticed"

    file.unlink()
    await until(lambda: KEY not in api.table.entries)  # inotify is heard through the loop
    assert set(static.table.entries) == {Key("x", "o")}
    running.cancel()


async def test_of_two_files_with_the_same_pod_the_first_is_followed(tmp_path: Path) -> None:
    api = Api()
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    second.write_bytes(WEB.replace(b"reg/web", b"reg/second"))
    static = StaticPods(api, api.table, VirtualClock(), tmp_path, "n1", lambda: "node-uid")  # type: ignore[arg-type]
    running = asyncio.create_task(static.run())

    def image() -> str:
        return str(static.pods[KEY]["spec"]["containers"][0]["image"])

    told: list[str] = []
    static.tell = lambda about, *words: told.append(" ".join((about["spec"]["containers"][0]["image"], *words)))
    await _settle()
    assert image() == "reg/second"
    first.write_bytes(WEB)
    await until(lambda: image() == "reg/web")
    await until(lambda: told != [])
    (said,) = told
    assert said.startswith("reg/second Warning FailedValidation Error validating pod web-n1_default(")
    assert said.endswith(') from file due to duplicate pod name "web-n1", ignoring')
    first.unlink()
    await until(lambda: image() == "reg/second")
    assert static.table.entries[KEY].uid == static.pods[KEY]["metadata"]["uid"]
    running.cancel()


async def test_a_mirror_that_is_refused_keeps_no_other_from_being_made(tmp_path: Path) -> None:
    api = Api()
    (tmp_path / "a.yaml").write_bytes(WEB.replace(b"name: web,", b"name: lost, namespace: nowhere,"))
    (tmp_path / "b.yaml").write_bytes(WEB)
    static = StaticPods(api, api.table, VirtualClock(), tmp_path, "n1", lambda: "node-uid")  # type: ignore[arg-type]
    running = asyncio.create_task(static.run())
    await _settle()
    assert set(api.table.entries) == {KEY}
    running.cancel()


@pytest.mark.parametrize(
    ("said", "seen_gone", "follows"),
    [
        pytest.param(WEB.replace(b"reg/web", b"reg/other"), False, True, id="another"),
        pytest.param(None, True, False, id="none"),
        pytest.param(WEB, True, True, id="the same, once it was gone"),
        pytest.param(WEB, False, True, id="the same, before anybody looked"),
    ],
)
async def test_a_pod_that_has_yet_to_end_keeps_its_mirror_and_its_name(
    tmp_path: Path, said: bytes | None, *, seen_gone: bool, follows: bool
) -> None:
    api, file, here = Api(), tmp_path / "web.yaml", set[str]()
    file.write_bytes(WEB)
    static = StaticPods(api, api.table, VirtualClock(), tmp_path, "n1", lambda: "node-uid")  # type: ignore[arg-type]
    static.runs = here.__contains__
    running = asyncio.create_task(static.run())
    await _settle()
    uid, shown = static.table.entries[KEY].uid, api.table.entries[KEY].uid
    here.add(uid)
    if said in (None, WEB):
        file.unlink()
    if seen_gone:
        await until(lambda: KEY not in static.table.entries)
    if said is not None:
        file.write_bytes(said)
    await until(lambda: KEY not in static.table.entries and (KEY in static.pods) == follows)
    await _settle()
    assert api.table.entries[KEY].uid == shown
    here.clear()
    static.ended(uid)
    assert (KEY in static.table.entries) == follows
    await _settle()
    assert (KEY in api.table.entries) == follows
    running.cancel()


async def test_a_pod_waits_for_one_of_its_name_that_an_earlier_kubelet_ran(tmp_path: Path) -> None:
    api = Api()
    (tmp_path / "web.yaml").write_bytes(WEB)
    static = StaticPods(api, api.table, VirtualClock(), tmp_path, "n1", lambda: "node-uid")  # type: ignore[arg-type]
    static.left({"metadata": {"namespace": "default", "name": "web-n1", "uid": "before"}})
    static.left({"metadata": {"namespace": "default", "name": "other", "uid": "other"}})
    assert KEY not in static.table.entries
    static.ended("other")
    assert KEY not in static.table.entries
    static.ended("before")
    assert static.table.entries[KEY].uid == static.pods[KEY]["metadata"]["uid"]
