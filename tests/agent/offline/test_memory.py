"""What a node remembers: written because it changed, read back as it was, and gone once no pod names it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.offline.memory import DiskMemory, unnamed
from pylet.agent.offline.vault import Vault
from pylet.aio.clock import VirtualClock
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object
from pylet.client.informer import Selection
from pylet.client.view import Entry, Table

OWN = Selection(POD, fields="spec.nodeName=n1")


def obj(name: str, revision: int = 1, **more: object) -> Object:
    meta = {"namespace": "a", "name": name, "uid": f"u-{name}", "resourceVersion": str(revision)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}, **more}


class Disk(Vault):
    """Counts what is written."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "node.key").write_bytes(b"k")
        super().__init__(directory / "offline", directory / "node.key")
        self.open()
        self.written: list[str] = []

    before_objects: Callable[[], object] = staticmethod(lambda: None)
    after_tables: Callable[[], object] = staticmethod(lambda: None)

    def write(self, name: str, content: bytes) -> None:
        is_object = name.startswith("o-")
        if is_object:
            self.before_objects()
        super().write(name, content)
        self.written.append(name)
        if not is_object:
            self.after_tables()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def memory(disk: Disk, clock: VirtualClock) -> AsyncIterator[DiskMemory]:
    memory = DiskMemory(disk, clock)
    task = asyncio.create_task(memory.run())
    yield memory
    task.cancel()
    await asyncio.wait([task])


async def until(check: Callable[[], bool], clock: VirtualClock | None = None) -> None:
    async with asyncio.timeout(60):
        while not check():
            if clock is not None:
                await clock.advance(1)
            await asyncio.sleep(0.001)


async def test_a_table_is_recalled_as_it_was(memory: DiskMemory, disk: Disk, clock: VirtualClock) -> None:
    table = Table(POD)
    pods = [obj(name, spec={"nodeName": "n1", "says": "],\n["}) for name in ("p", "q")]
    for pod in pods:
        table.put(Entry.of(POD, pod))
    memory.follow(OWN, table)
    await until(lambda: len(disk.written) == 1, clock)
    assert list(DiskMemory(disk, clock).recall(OWN) or ()) == pods
    assert DiskMemory(disk, clock).recall(Selection(POD, fields="spec.nodeName=n2")) is None


async def test_a_start_that_changes_nothing_writes_nothing(tmp_path: Path, disk: Disk, clock: VirtualClock) -> None:
    table = Table(POD)
    table.put(Entry.of(POD, obj("p", spec={"secret": "s"})))
    for writes in (1, 0):
        fresh = Disk(tmp_path)
        memory = DiskMemory(fresh, clock)
        task = asyncio.create_task(memory.run())
        memory.follow(OWN, table)
        memory.remember_object(SECRET, obj("s"), Key("a", "s"))
        await until(lambda wanted=2 * writes, fresh=fresh: len(fresh.written) == wanted, clock)  # type: ignore[misc]
        for _ in range(50):
            await clock.advance(1)
        assert len(fresh.written) == 2 * writes
        task.cancel()
        await asyncio.wait([task])


async def test_a_table_that_never_rests_is_written_ever_less_often(
    memory: DiskMemory, disk: Disk, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(call: Callable[..., Any], *arguments: Any) -> Any:
        return call(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    table = Table(POD)
    memory.follow(OWN, table)
    for second in range(3600):
        table.put(Entry.of(POD, obj("p", second + 1)))
        await clock.advance(1, settle_ticks=2)
    assert 3 <= len(disk.written) <= 20


async def test_an_object_is_what_was_said_of_it_last(memory: DiskMemory, disk: Disk, clock: VirtualClock) -> None:
    table, which = Table(CONFIG_MAP), Selection(CONFIG_MAP, "a", fields="metadata.name=c")
    table.put(Entry.of(CONFIG_MAP, obj("c", data={"k": "1"})))
    memory.follow(which, table)
    assert list(memory.recall(which) or ()) == [obj("c", data={"k": "1"})]
    table.put(Entry.of(CONFIG_MAP, obj("c", 2, data={"k": "2"})))
    await until(lambda: DiskMemory(disk, clock).recall(which) == [obj("c", 2, data={"k": "2"})], clock)
    table.remove(Key("a", "c"))
    await until(lambda: DiskMemory(disk, clock).recall(which) is None, clock)


async def test_what_changed_a_moment_before_an_orderly_end_is_kept(disk: Disk, clock: VirtualClock) -> None:
    table, memory = Table(POD), DiskMemory(disk, clock)
    task = asyncio.create_task(memory.run())
    memory.follow(OWN, table)
    await until(lambda: len(disk.written) == 1, clock)
    table.put(Entry.of(POD, obj("p")))
    memory.remember_object(SECRET, obj("s"), Key("a", "s"))
    task.cancel()
    await asyncio.wait([task])
    later = DiskMemory(disk, clock)
    assert list(later.recall(OWN) or ()) == [obj("p")]
    assert later.recall_object(SECRET, Key("a", "s")) == obj("s")


async def test_what_no_pod_names_any_more_goes_though_it_came_late_to_the_disk(
    memory: DiskMemory, disk: Disk, clock: VirtualClock
) -> None:
    table, rest = Table(POD), threading.Event()
    disk.before_objects = lambda: rest.wait(60)
    disk.after_tables = rest.set
    table.put(Entry.of(POD, obj("p", spec={"volumes": [{"secret": {"secretName": "s"}}]})))
    memory.remember_object(SECRET, obj("s"), Key("a", "s"))
    memory.remember_object(SECRET, obj("gone"), Key("a", "gone"))
    memory.follow(OWN, table)
    later = DiskMemory(disk, clock)
    await until(lambda: len(disk.written) == 3, clock)
    await until(lambda: later.recall_object(SECRET, Key("a", "gone")) is None, clock)
    assert later.recall_object(SECRET, Key("a", "s")) == obj("s")


def test_what_is_named_by_what_is_named_stays() -> None:
    pods = b'[{"metadata":{"name":"p","uid":"u-p"},"spec":{"volumes":[{"claimName":"claim"}]}}]'
    held = {
        "1": {"metadata": {"name": "secret-of-volume"}},
        "2": {"metadata": {"name": "pv"}, "spec": {"csi": {"nodeStageSecretRef": {"name": "secret-of-volume"}}}},
        "3": {"metadata": {"name": "claim"}, "spec": {"volumeName": "pv"}},
        "4": {"metadata": {"name": "csi-123"}, "spec": {"source": {"persistentVolumeName": "pv"}}},
        "5": {"metadata": {"name": "p-scratch", "ownerReferences": [{"uid": "u-p"}]}},
        "6": {"metadata": {"name": "other"}},
        "7": {"metadata": {"name": "u-p"}, "status": {"token": "t"}},
        "8": {"metadata": {"name": "u-q"}, "status": {"token": "t"}},
    }
    assert sorted(unnamed(held, pods)) == ["6", "8"]
