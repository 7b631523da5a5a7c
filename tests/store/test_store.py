"""One suite for every driver; the memory driver is the specification."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pylet.store import open_store
from pylet.store.interface import (
    Compacted,
    Conflict,
    Event,
    KeyExists,
    KeyMissing,
    Lagged,
    Progress,
    Put,
    Removed,
    Store,
    StoreError,
)

VOLATILE = ("/volatile/",)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = {"memory": "memory://", "sqlite": f"sqlite://{tmp_path}/db.sqlite"}[request.param]
    async with open_store(url, volatile=VOLATILE) as opened:
        yield opened


async def take(events: AsyncIterator[Sequence[Event]], count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(5):
        async for batch in events:
            found += batch
            if len(found) >= count:
                return found
    raise AssertionError("the watch ended")


async def test_a_created_record_is_read_back_with_its_revision(store: Store) -> None:
    revision = await store.create("/a", b"1")
    record = await store.get("/a")
    assert record is not None
    assert (record.value, record.revision) == (b"1", revision)
    assert await store.get("/b") is None


@pytest.mark.parametrize("key", ["/a", "/volatile/a"])
async def test_watchers_see_the_last_value_of_what_goes(store: Store, key: str) -> None:
    created = await store.create(key, b"1")
    removed = await store.delete(key, expect=created, last=b"2")
    assert await take(store.watch("/", since=created), 2) == [Put(key, b"2", removed - 1), Removed(key, removed)]
    assert await store.get(key) is None
    with pytest.raises(KeyMissing):
        await store.delete(key, last=b"3")


async def test_revisions_grow_by_every_write_of_any_key(store: Store) -> None:
    revisions = [
        await store.create("/a", b"1"),
        await store.create("/volatile/b", b"1"),
        await store.update("/a", b"2"),
        await store.delete("/volatile/b"),
        await store.delete("/a"),
    ]
    assert revisions == sorted(set(revisions))
    assert store.revision == revisions[-1]


async def test_creating_what_exists_is_refused(store: Store) -> None:
    await store.create("/a", b"1")
    with pytest.raises(KeyExists):
        await store.create("/a", b"2")


async def test_writing_what_is_missing_is_refused(store: Store) -> None:
    with pytest.raises(KeyMissing):
        await store.update("/a", b"1")
    with pytest.raises(KeyMissing):
        await store.delete("/a")


async def test_a_stale_expectation_is_refused_and_names_the_current_revision(store: Store) -> None:
    first = await store.create("/a", b"1")
    second = await store.update("/a", b"2", expect=first)
    for write in (store.update("/a", b"3", expect=first), store.delete("/a", expect=first)):
        with pytest.raises(Conflict) as lost:
            await write
        assert lost.value.current == second
    record = await store.get("/a")
    assert record is not None
    assert record.value == b"2"


async def test_of_many_writers_with_one_expectation_exactly_one_wins(store: Store) -> None:
    first = await store.create("/a", b"0")
    writes = [store.update("/a", str(n).encode(), expect=first) for n in range(20)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


async def test_a_scan_is_ordered_and_pages_by_the_last_key(store: Store) -> None:
    for name in ("c", "a", "b", "volatile/x"):
        await store.create(f"/{name}", name.encode())
    page = await store.scan("/", limit=2)
    assert [record.key for record in page.records] == ["/a", "/b"]
    rest = await store.scan("/", after="/b")
    assert [record.key for record in rest.records] == ["/c", "/volatile/x"]
    assert rest.revision == store.revision


async def test_a_watch_resumes_from_any_retained_revision(store: Store) -> None:
    start = store.revision
    revisions = [await store.create(f"/k/{n}", b"x") for n in range(5)]
    removed = await store.delete("/k/2")
    for skipped in range(5):
        since = revisions[skipped - 1] if skipped else start
        expected: list[Event] = [Put(f"/k/{n}", b"x", revisions[n]) for n in range(skipped, 5)]
        assert await take(store.watch("/k/", since=since), 6 - skipped) == [*expected, Removed("/k/2", removed)]


async def test_a_watch_tells_progress_where_other_keys_changed(store: Store) -> None:
    start = store.revision
    other = await store.create("/other", b"x")
    assert await take(store.watch("/k/", since=start), 1) == [Progress(other)]


async def test_a_live_watch_sees_writes_as_they_come(store: Store) -> None:
    watch = asyncio.ensure_future(take(store.watch("/", since=store.revision), 2))
    await asyncio.sleep(0)
    await store.create("/a", b"1")
    await store.create("/volatile/a", b"1")
    assert [event.key for event in await watch if isinstance(event, Put)] == ["/a", "/volatile/a"]


async def test_history_below_a_compaction_is_refused(store: Store) -> None:
    first = await store.create("/a", b"1")
    second = await store.update("/a", b"2")
    await store.compact(second)
    with pytest.raises(Compacted):
        await take(store.watch("/", since=first), 1)


async def test_a_reader_that_falls_behind_the_bound_is_dropped(store: Store) -> None:
    await store.create("/a", b"0")
    watch = store.watch("/", since=store.revision)
    await store.update("/a", b"1")
    assert len(await anext(watch)) == 1  # type: ignore[call-overload]
    value = b"x" * (1 << 20)
    for _ in range(8):
        await store.update("/a", value)
    with pytest.raises(Lagged):
        await anext(watch)  # type: ignore[call-overload]


async def test_an_unknown_driver_is_named_with_those_there_are() -> None:
    with pytest.raises(StoreError, match=r"no store driver for 'oracle://x': known are memory, sqlite"):
        async with open_store("oracle://x"):
            pass


async def test_writes_go_on_after_history_was_compacted(store: Store) -> None:
    await store.create("/a", b"1")
    await store.compact(0)
    assert await store.update("/a", b"2") > 1
