"""What only a store on a disk can lose: acknowledged writes, monotonic revisions, its memory of a failed commit."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pylet.store import open_store
from pylet.store.drivers import sqlite
from pylet.store.interface import Compacted, WriteFailed

# Writes as fast as it can with eight writers and prints each key after its acknowledgement.
_WRITER = """
import asyncio, sys
from pylet.store import open_store

async def main(url, run):
    async with open_store(url, volatile=("/lease/",)) as store:
        async def write(worker):
            n = 0
            while True:
                n += 1
                key = f"/{run}/{worker}/{n % 50}"
                revision = await (store.update if n > 50 else store.create)(key, str(n).encode() * 50)
                print(key, n, revision, flush=True)
        await asyncio.gather(*(write(worker) for worker in range(8)))

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


def test_no_acknowledged_write_is_lost_to_sigkill_and_revisions_stay_monotonic(tmp_path: Path) -> None:
    url, highest = f"sqlite://{tmp_path}/db.sqlite", 0
    for run in range(6):
        child = subprocess.Popen([sys.executable, "-c", _WRITER, url, str(run)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(random.uniform(0.0, 0.3))
        child.send_signal(signal.SIGKILL)
        printed = [line.split() for line in (first + child.stdout.read()).splitlines()]
        child.wait()
        acknowledged = [line for line in printed if len(line) == 3]
        assert acknowledged
        assert int(acknowledged[0][2]) > highest
        highest = max(highest, *(int(revision) for _, _, revision in acknowledged))
        with sqlite3.connect(tmp_path / "db.sqlite") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            kept = {key: revision for key, revision in database.execute("SELECT key, revision FROM records")}
        for key, _, revision in acknowledged:
            assert kept[key] >= int(revision)


async def test_volatile_writes_never_reach_the_disk_and_end_with_the_process(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/db.sqlite"
    async with open_store(url, volatile=("/lease/",)) as store:
        await store.create("/a", b"1")
        await store.create("/lease/a", b"1")
        wal = tmp_path / "db.sqlite-wal"
        before = wal.stat().st_size
        for n in range(100):
            last = await store.update("/lease/a", str(n).encode())
        assert wal.stat().st_size == before
    async with open_store(url, volatile=("/lease/",)) as store:
        assert await store.get("/lease/a") is None
        assert store.revision >= last
        with pytest.raises(Compacted):
            await anext(store.watch("/", since=last - 1))  # type: ignore[call-overload]


async def test_a_failed_commit_keeps_memory_equal_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, broken = sqlite._transaction, False
    untold: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: untold.append(context))

    def transaction(*arguments: Any) -> None:
        if broken:
            raise sqlite3.OperationalError("disk I/O error")
        real(*arguments)

    monkeypatch.setattr(sqlite, "_transaction", transaction)
    async with open_store(f"sqlite://{tmp_path}/db.sqlite") as store:
        first = await store.create("/a", b"1")
        broken = True
        for write in (store.update("/a", b"2"), store.create("/b", b"1"), store.delete("/a", last=b"2")):
            with pytest.raises(WriteFailed, match="disk I/O error"):
                await write
        broken = False
        assert await store.update("/a", b"3", expect=first) > first
        await store.create("/b", b"1")
    gc.collect()
    assert not untold


async def test_a_last_value_is_not_kept_without_its_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(f"sqlite://{tmp_path}/db.sqlite") as store:
        first = await store.create("/a", b"1")
        monkeypatch.setattr(sqlite, "_WAITING", 1)
        with pytest.raises(WriteFailed, match="1 writes are waiting for the disk"):
            await store.delete("/a", last=b"2")
        assert await store.delete("/a", expect=first) > first


async def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    async with open_store(f"sqlite://{tmp_path}/db.sqlite") as store:
        await store.create("/a", b"1")
        assert isinstance(store, sqlite.SqliteStore)
        await store._connection.execute("PRAGMA max_page_count=10")
        with pytest.raises(WriteFailed, match="database or disk is full"):
            await store.create("/big", b"x" * (1 << 20))
        await store.update("/a", b"2")
        record = await store.get("/a")
        assert record is not None
        assert record.value == b"2"
