"""Which users pods get that have their own, and what of that the runtime is told."""

from __future__ import annotations

import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet import counters, user_namespaces
from pylet.agent.kubelet.config import Surroundings, container_config
from pylet.agent.kubelet.security import ImageUser
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.user_namespaces import (
    NoUsers,
    choose,
    objection,
    parse,
    release,
    slots,
    subordinate,
    users_of,
    written,
)
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.api.object import Object
from pylet.cri import messages as m
from pylet.cri.features import HandlerFeatures, RuntimeFeatures, RuntimeHandler
from pylet.cri.interface import CriError
from pylet.cri.memory import MemoryRuntime
from tests.agent.kubelet.builders import container, pod
from tests.agent.kubelet.test_worker import told
from tests.waiting import until

UNIT = 65536
MINE = m.IDMapping(UNIT, 0, UNIT)
OWN = m.UserNamespace(m.NamespaceMode.POD, (MINE,), (MINE,))


@pytest.fixture(autouse=True)
def nobody_is_kubelet(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nobody)


def settings(root: Path, **fields: Any) -> Settings:
    return Settings(node_name="n1", host_ips=("192.0.2.1",), root=root, **fields)


def own(uid: str) -> Object:
    (of := pod(hostUsers=False))["metadata"]["uid"] = uid
    return of


def holders(root: Path) -> list[str]:
    return [file.parent.name for file in root.glob("pods/*/userns")]


@pytest.mark.parametrize(
    ("able", "handler", "why"),
    [
        ({"": True}, "", ""),
        ({}, "", "can't set `spec.hostUsers: false`, runtime does not support user namespaces"),
        ({"": False}, "", "can't set `spec.hostUsers: false`, runtime does not support user namespaces"),
        ({"": True, "kata": False}, "kata", 'RuntimeClass handler "kata" does not support user namespaces'),
        ({"": True}, "kata", 'does not support user namespaces: the handler "kata" is not known'),
    ],
    ids=["it can", "an old runtime", "an old kernel", "not that handler", "nobody knows that handler"],
)
def test_a_runtime_that_cannot_is_named(able: dict[str, bool], handler: str, why: str) -> None:
    assert objection(able, handler).endswith(why)
    assert bool(objection(able, handler)) == bool(why)


@pytest.mark.parametrize(
    ("assigned", "words"),
    [
        ((UNIT + 1, 110 * UNIT), "ID 65537 is not a multiple of 65536"),
        ((0, 110 * UNIT), "ID 0 must be greater or equal to 65536"),
        ((UNIT, 110 * UNIT + 1), "IDs length 7208961 is not a multiple of 65536"),
        ((UNIT, 109 * UNIT), "IDs are not enough to support 110 pods"),
    ],
    ids=["between", "the machine's root", "a part left over", "too few"],
)
def test_ids_that_pods_cannot_share_are_refused(assigned: tuple[int, int], words: str) -> None:
    with pytest.raises(NoUsers, match=words):
        slots(*assigned, UNIT, 110)


def test_each_pod_has_what_nobody_else_has() -> None:
    three = slots(UNIT, 3 * UNIT, UNIT, 3)
    assert list(three) == [UNIT, 2 * UNIT, 3 * UNIT]
    assert choose(three, [], 1) == 2 * UNIT
    assert choose(three, [m.IDMapping(n * UNIT, 0, UNIT) for n in (2, 3, 9)], 1) == UNIT
    assert choose(three, [m.IDMapping(2 * UNIT, 0, 2 * UNIT)], 1) == UNIT
    with pytest.raises(NoUsers, match="could not find an empty slot"):
        choose(three, [m.IDMapping(n, 0, UNIT) for n in three], 2)


@pytest.mark.parametrize(
    ("users", "groups", "found"),
    [
        ("0: kubelet 65536 2147483648\n", "0: kubelet 65536 2147483648\n", (65536, 2147483648)),
        ("0: kubelet 65536 65536\n", "0: kubelet 131072 65536\n", "mismatched subuids and subgids"),
        ("0: kubelet 1 2\n1: kubelet 3 4\n", "0: kubelet 1 2\n1: kubelet 3 4\n", "must contain only one line"),
        ("", "", "invalid line"),
        ("0: kubelet one two\n", "0: kubelet one two\n", "invalid line"),
    ],
    ids=["one range", "others for groups", "two ranges", "none", "no numbers"],
)
def test_what_getsubids_says(users: str, groups: str, found: tuple[int, int] | str) -> None:
    if isinstance(found, str):
        with pytest.raises(NoUsers, match=found):
            subordinate(users, groups)
    else:
        assert subordinate(users, groups) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "invalid user namespace mappings file"),
        (b'{"uidMappings": [], "gidMappings": []}', "invalid user namespace mappings file"),
        (written(MINE).replace(b"65536", b"131072", 1), "should be identical"),
        (written(m.IDMapping(UNIT, 1, UNIT)), "UID 0 must be mapped"),
    ],
    ids=["empty", "no mapping", "groups that differ", "without root"],
)
def test_a_file_that_says_something_else_is_not_followed(text: bytes, words: str) -> None:
    assert parse(written(MINE)) == MINE
    with pytest.raises(NoUsers, match=words):
        parse(text)


async def test_a_pod_keeps_its_users_until_it_has_ended(tmp_path: Path) -> None:
    one, of = own("one"), settings(tmp_path)
    users = await users_of(one, "", {"": True}, of)
    assert users.uids == users.gids
    assert users == await users_of(one, "", {"": True}, of)
    assert await users_of(own("two"), "", {"": True}, of) != users
    release(one, of)
    release(one, of)
    assert holders(tmp_path) == ["two"]


async def test_a_pod_that_finds_all_taken_waits_for_another_s_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(_: int) -> tuple[int, int]:
        return UNIT, 2 * UNIT

    monkeypatch.setattr(user_namespaces, "_subordinate", two)
    of = settings(tmp_path, max_pods=2)
    for uid in ("one", "two"):
        await users_of(own(uid), "", {"": True}, of)
    with pytest.raises(NoUsers, match="could not find an empty slot"):
        await users_of(own("three"), "", {"": True}, of)
    release(own("one"), of)
    await users_of(own("three"), "", {"": True}, of)


async def test_the_ids_of_the_user_kubelet_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "getsubids"
    program.write_text('#!/bin/sh\necho "0: kubelet 131072 131072"\n')
    program.chmod(0o755)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    users = await users_of(own("one"), "", {"": True}, settings(tmp_path, max_pods=1, ids_per_pod=131072))
    assert users.uids == (m.IDMapping(131072, 0, 131072),)


def test_files_belong_to_the_same_users_inside(tmp_path: Path) -> None:
    volume = Bindings((m.Mount("/data", "/volume"),))
    around = Surroundings({}, volume, {Path("/hosts"): "/etc/hosts"}, "", 0, ImageUser(), users=OWN)
    found = container_config(pod(hostUsers=False), container(), around, settings(tmp_path))
    assert [(mount.uid_mappings, mount.gid_mappings) for mount in found.mounts] == [((MINE,), (MINE,))] * 2
    assert found.linux.security_context.namespace_options.users == OWN


class Capable(MemoryRuntime):
    sandbox: m.SandboxConfig | None = None

    async def abilities(self) -> tuple[tuple[RuntimeHandler, ...], RuntimeFeatures]:
        return (RuntimeHandler("", HandlerFeatures(user_namespaces=True)),), RuntimeFeatures()

    async def run_sandbox(self, config: m.SandboxConfig, *, runtime_handler: str = "") -> str:
        self.sandbox = config
        return await super().run_sandbox(config, runtime_handler=runtime_handler)


async def test_a_pod_runs_as_its_own_users_and_gives_them_back(tmp_path: Path) -> None:
    runtime, started = Capable(), counters.STARTED_USERS.value()
    async with told(pod(container(command=["true"]), hostUsers=False, restartPolicy="Never"), tmp_path, runtime) as (
        story,
        _,
    ):
        await story.until(lambda status: status.get("phase") == "Succeeded")
        assert runtime.sandbox is not None
        assert runtime.sandbox.linux.security_context.namespace_options.users.mode is m.NamespaceMode.POD
        await until(lambda: not holders(tmp_path))
    assert counters.STARTED_USERS.value() == started + 1


async def test_a_pod_that_fails_to_start_is_counted_once(tmp_path: Path) -> None:
    runtime, before = Capable(), counters.STARTED_USERS_ERRORS.value()
    runtime.faults["start_container"] = [CriError("no such program")] * 2
    of = pod(container("a", command=["serve"]), container("b", command=["serve"]), hostUsers=False)
    async with told(of, tmp_path, runtime) as (story, _):
        await until(lambda: story.told.count("Failed") == 2)
    assert counters.STARTED_USERS_ERRORS.value() == before + 1


async def test_others_have_the_machine_s_users(tmp_path: Path) -> None:
    runtime = Capable()
    async with told(pod(container(command=["serve"])), tmp_path, runtime):
        await until(lambda: runtime.sandbox is not None)
        assert runtime.sandbox is not None
        assert runtime.sandbox.linux.security_context.namespace_options.users == m.HOST_USERS
