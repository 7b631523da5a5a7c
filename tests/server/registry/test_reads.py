"""Lists, pages, revisions and watches."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from pylet.api.errors import Expired
from pylet.api.kinds.clusterrole import KIND as CLUSTER_ROLE
from pylet.api.kinds.configmap import KIND as CONFIGMAP
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from pylet.client.view import Entry
from pylet.server.registry import END, Batch, ListOptions, Subscription, listing
from pylet.server.registry.cache import Cache
from pylet.server.registry.selection import selection_of
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import Api, configmap, pod, refused, running


class Watcher:
    """Collects what a watch tells, as `TYPE name`."""

    def __init__(self, subscription: Subscription) -> None:
        self.told: list[str] = []
        self.frames: list[bytes] = []
        self.subscription = subscription
        for batch in subscription.initial:
            self.hear(batch)
        subscription.follow(self.hear)

    def hear(self, batch: Batch) -> None:
        if batch is END:
            self.told.append("END")
            return
        self.frames.append(batch.encoded())
        for line in batch.encoded().splitlines():
            event = orjson.loads(line)
            self.told.append(f"{event['type']} {event['object']['metadata'].get('name', '')}".strip())


async def watch(api: Api, namespace: str = "a", **options: Any) -> Watcher:
    request = api.request("watch", CONFIGMAP, namespace)
    return Watcher(await api.registry.watch(request, ListOptions(**options)))


def flush(api: Api) -> None:
    """Watches that have rested until now, because telling took long, are told."""
    api.registry._state.caches[CONFIGMAP].flush()


def labelled(name: str, **labels: str) -> Object:
    obj = configmap(name)
    obj["metadata"]["labels"] = labels
    return obj


async def test_lists_are_in_order_and_selected(api: Api) -> None:
    await api.namespace("b")
    for name, namespace in (("z", "a"), ("x", "a"), ("y", "b")):
        obj = configmap(name, namespace)
        obj["metadata"]["labels"] = {"n": name}
        await api.create(obj)
    assert await api.names(CONFIGMAP) == ["x", "z", "y"]
    assert await api.names(CONFIGMAP, "a") == ["x", "z"]
    assert await api.names(CONFIGMAP, labels="n in (x,y)") == ["x", "y"]
    assert await api.names(CONFIGMAP, fields="metadata.name=y") == ["y"]
    assert await api.names(CONFIGMAP, fields="metadata.namespace!=a") == ["y"]
    assert await api.names(CONFIGMAP, "a", fields="metadata.name=y") == []


async def test_what_was_listed_once_follows_every_change(api: Api) -> None:
    for name in ("c", "x"):
        await api.create(labelled(name, n="1"))
    assert await api.names(CONFIGMAP, "a") == ["c", "x"]
    await api.create(labelled("m", n="1"))
    await api.delete(CONFIGMAP, "a", "c")
    await api.update(labelled("x", n="2"))
    await api.create(labelled("a", n="2", m="1"))
    assert await api.names(CONFIGMAP, "a") == ["a", "m", "x"]
    assert await api.names(CONFIGMAP, "a", labels="n=2") == ["a", "x"]
    assert await api.names(CONFIGMAP, "a", labels="n=2,m!=1", limit=1) == ["x"]
    for limit in (-1, 3, 10**40):
        assert await api.names(CONFIGMAP, "a", limit=limit) == ["a", "m", "x"]


async def test_pods_are_found_by_their_node(api: Api) -> None:
    await api.create(pod("p", nodeName="n1"))
    await api.create(pod("q", nodeName="n2"))
    await api.create(pod("r"))
    assert await api.names(POD, fields="spec.nodeName=n1") == ["p"]
    assert await api.names(POD, fields="spec.nodeName=") == ["r"]
    assert await api.names(POD, fields="spec.nodeName!=n1,metadata.name!=r") == ["q"]
    await api.create(pod("s", nodeName="n1"))
    first = await api.list(POD, fields="spec.nodeName=n1", limit=1)
    assert [entry.key.name for entry in first.entries] == ["p"]
    assert await api.names(POD, fields="spec.nodeName=n1", limit=1, more=first.more) == ["s"]


async def test_where_a_namespace_is_a_field(api: Api) -> None:
    await api.create(pod("p"))
    assert await api.names(POD, fields="metadata.namespace=a") == ["p"]
    assert await api.names(CLUSTER_ROLE, fields="metadata.namespace=a") == []
    status = await refused(api.list(NODE, fields="metadata.namespace=a"))
    assert status["message"].endswith("field label not supported: metadata.namespace")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"fields": "spec.color=red"},
            '"spec.color" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ({"labels": "a in b"}, "unable to parse requirement"),
        ({"match": "Exact"}, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ({"more": "%%%"}, "continue key is not valid"),
        ({"revision": "x"}, 'strconv.ParseUint: parsing "x": invalid syntax'),
        ({"revision": str(2**64)}, f'strconv.ParseUint: parsing "{2**64}": value out of range'),
    ],
    ids=["field", "label", "match", "continue", "revision", "a revision beyond all"],
)
async def test_lists_that_are_refused(api: Api, options: Object, message: str) -> None:
    assert message in (await refused(api.list(CONFIGMAP, "a", **options)))["message"]


async def test_the_history_of_large_objects_is_short(api: Api) -> None:
    obj = configmap("x", data="x" * (1 << 20))
    await api.create(obj)
    for number in range(30):
        await api.update({**obj, "metadata": {**obj["metadata"], "labels": {"n": str(number)}}})
    history = api.registry._state.caches[CONFIGMAP]._history
    assert 4 < len(history) < 20


async def test_selections_of_long_texts_are_made_anew(api: Api) -> None:
    for labels, is_kept in (("a=b", True), (f"a in ({','.join(map(str, range(1000)))})", False)):
        asked = api.request("list", CONFIGMAP, "a"), ListOptions(labels=labels)
        assert (await api.registry.select(*asked) is await api.registry.select(*asked)) is is_kept


async def test_a_revision_may_begin_with_thousands_of_zeros() -> None:
    assert listing.revision_number("0" * 5000 + "7") == 7


async def test_many_fields_that_a_name_must_not_be(api: Api) -> None:
    for name in ("x", "y"):
        await api.create(configmap(name))
    fields = ",".join(f"metadata.name!={name}" for name in ("y", *range(2000)))
    assert await api.names(CONFIGMAP, "a", fields=fields) == ["x"]
    assert await api.names(CONFIGMAP, "a", fields="metadata.name=x,metadata.name=x,metadata.name!=y") == ["x"]
    assert await api.names(CONFIGMAP, "a", fields="metadata.name=x,metadata.name=y") == []


async def test_pages_show_one_revision(api: Api) -> None:
    for name in "vwxyz":
        await api.create(configmap(name))
    first = await api.list(CONFIGMAP, "a", limit=2)
    assert ([entry.key.name for entry in first.entries], first.remaining) == (["v", "w"], 3)
    await api.delete(CONFIGMAP, "a", "x")
    await api.create(configmap("xx"))
    await api.update(configmap("y", changed="later"))
    second = await api.list(CONFIGMAP, "a", limit=2, more=first.more)
    assert [entry.key.name for entry in second.entries] == ["x", "y"]
    assert "data" not in second.entries[1].object
    assert second.revision == first.revision
    last = await api.list(CONFIGMAP, "a", limit=2, more=second.more)
    assert ([entry.key.name for entry in last.entries], last.more) == (["z"], "")


async def test_a_token_whose_revision_is_gone_offers_the_rest_as_it_is_now(api: Api) -> None:
    for name in "vwxyz":
        await api.create(configmap(name))
    first = await api.list(CONFIGMAP, "a", limit=2)
    await api.create(configmap("xx"))
    api.registry._state.caches[CONFIGMAP].compact(api.registry.revision)
    status = await refused(api.list(CONFIGMAP, "a", limit=2, more=first.more))
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("The provided continue parameter is too old")
    rest = await api.list(CONFIGMAP, "a", more=status["metadata"]["continue"])
    assert [entry.key.name for entry in rest.entries] == ["x", "xx", "y", "z"]


async def test_an_older_revision_can_be_listed_exactly(api: Api) -> None:
    await api.create(configmap("x"))
    then = api.registry.revision
    await api.create(configmap("y"))
    assert await api.names(CONFIGMAP, "a", revision=str(then), match="Exact") == ["x"]
    assert await api.names(CONFIGMAP, "a", revision=str(then), match="NotOlderThan") == ["x", "y"]


async def test_the_future_is_too_large(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = api.registry.revision + 1
    arriving = asyncio.create_task(api.list(CONFIGMAP, "a", revision=str(ahead)))
    await asyncio.sleep(0)
    await api.create(configmap("x"))
    assert len((await arriving).entries) == 1
    monkeypatch.setattr("pylet.server.registry.state._FRESH_SECONDS", 0)
    status = await refused(api.list(CONFIGMAP, "a", revision="1000"))
    assert (status["code"], status["message"]) == (
        504,
        "Timeout: Too large resource version: 1000, current: " + str(ahead),
    )
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert not api.registry._state._waiting  # for what will not come


async def test_watchers_hear_of_a_write_before_its_client(api: Api) -> None:
    watcher = await watch(api, revision=str(api.registry.revision))
    await api.create(configmap("x"))
    assert watcher.told == ["ADDED x"]


async def test_a_watch_tells_what_its_selector_sees(api: Api) -> None:
    since = str(api.registry.revision)
    everything = await watch(api, revision=since)
    red = await watch(api, revision=since, labels="color=red")
    await api.create(labelled("x", color="red"))
    await api.update(labelled("x", color="blue"))
    await api.update(labelled("x", color="red"))
    await api.update(labelled("x", color="red", size="l"))
    await api.delete(CONFIGMAP, "a", "x")
    flush(api)
    assert everything.told == ["ADDED x", "MODIFIED x", "MODIFIED x", "MODIFIED x", "DELETED x"]
    assert red.told == ["ADDED x", "DELETED x", "ADDED x", "MODIFIED x", "DELETED x"]
    assert (await watch(api, revision=since, labels="color=red")).told == red.told
    gone = orjson.loads(red.frames[-1].splitlines()[-1])["object"]
    assert int(gone["metadata"]["resourceVersion"]) == api.registry.revision


async def test_the_revisions_of_an_object_share_what_they_have_in_common(api: Api) -> None:
    await api.create(labelled("x", color="red"))
    await api.update(labelled("x", color="red") | {"data": {"a": "b"}})
    await api.update(labelled("x", color="blue"))
    await api.delete(CONFIGMAP, "a", "x")
    created, same, other, deleted = list(api.registry._state.caches[CONFIGMAP]._history)[-4:]
    first, second, third = created.after, same.after, other.after
    assert first is not None
    assert second is not None
    assert third is not None
    assert all(event.key is first.key for event in (created, same, other, deleted))
    assert second.uid is third.uid is first.uid
    assert second.labels is first.labels
    assert third.labels == {"color": "blue"}


async def test_watchers_of_one_selection_share_their_bytes(api: Api) -> None:
    since = str(api.registry.revision)
    first, second = await watch(api, revision=since), await watch(api, revision=since)
    await api.create(configmap("x"))
    flush(api)
    assert first.frames[0] is second.frames[0]


async def test_a_watch_of_one_object_hears_of_that_one(api: Api) -> None:
    watcher = await watch(api, revision=str(api.registry.revision), fields="metadata.name=x")
    await api.create(configmap("x"))
    await api.create(configmap("y"))
    flush(api)
    assert watcher.told == ["ADDED x"]


async def test_nothing_is_lost_or_doubled_between_the_initial_state_and_the_rest(api: Api) -> None:
    await api.create(configmap("x"))
    request = api.request("watch", CONFIGMAP, "a")
    options = ListOptions(initial_events=True, match="NotOlderThan", bookmarks=True)
    subscription = await api.registry.watch(request, options)
    await api.create(configmap("y"))
    watcher = Watcher(subscription)
    await api.create(configmap("z"))
    flush(api)
    assert watcher.told == ["ADDED x", "BOOKMARK", "ADDED y", "ADDED z"]
    mark = orjson.loads(watcher.frames[0].splitlines()[1])["object"]["metadata"]
    assert mark["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_large_initial_state_comes_in_pieces(api: Api) -> None:
    for name in ("v", "w", "x", "y", "z"):
        await api.create(configmap(name, of="x" * 50_000))
    request = api.request("watch", CONFIGMAP, "a")
    subscription = await api.registry.watch(request, ListOptions(initial_events=True, match="NotOlderThan"))
    watcher = Watcher(subscription)
    assert [len(frame.splitlines()) for frame in watcher.frames] == [3, 2]
    assert watcher.told == [f"ADDED {name}" for name in ("v", "w", "x", "y", "z")]


def resting() -> Cache:
    """One that tells nothing by itself, as while it rests."""
    cache = Cache(CONFIGMAP, lambda told: lambda: None, lambda: cache.table.revision)
    cache.start((), 1)
    return cache


def followed(cache: Cache, name: str = "") -> Watcher:
    selection = selection_of(CONFIGMAP, "a", "", f"metadata.name={name}" if name else "")
    return Watcher(cache.watch(selection, cache.table.revision, bookmarks=True))


def put(cache: Cache, name: str, revision: int) -> None:
    obj = configmap(name)
    obj["metadata"]["resourceVersion"] = str(revision)
    entry = Entry.of(CONFIGMAP, obj)
    cache.apply(revision, entry.key, entry)
    cache.table.revision = revision


def test_a_bookmark_comes_after_what_it_covers() -> None:
    cache = resting()
    watcher = followed(cache)
    put(cache, "x", 2)
    assert watcher.told == []
    cache.bookmark()
    assert watcher.told == ["ADDED x", "BOOKMARK"]
    put(cache, "y", 3)
    watcher.subscription.remind()
    assert watcher.told[2:] == ["ADDED y", "BOOKMARK"]


def test_who_joins_is_told_nothing_twice_and_who_is_sent_off_everything_before() -> None:
    cache = resting()
    early = followed(cache)
    put(cache, "x", 2)
    late = followed(cache)
    put(cache, "y", 3)
    cache.close()
    assert (early.told, late.told) == (["ADDED x", "ADDED y", "END"], ["ADDED y", "END"])


def test_nothing_is_kept_of_watchers_that_left() -> None:
    cache = resting()
    watchers = [followed(cache, name) for name in ("", "x", "x", "y", "")]
    for watcher in watchers:
        watcher.subscription.close()
    assert not cache._groups
    assert not cache._near


async def test_bookmarks_go_to_those_who_asked(api: Api) -> None:
    since = str(api.registry.revision)
    asked, silent = await watch(api, revision=since, bookmarks=True), await watch(api, revision=since)
    api.registry._state.caches[CONFIGMAP].bookmark()
    assert (asked.told, silent.told) == (["BOOKMARK"], [])
    for watcher in (asked, silent):
        watcher.subscription.remind()
    assert (asked.told, silent.told) == (["BOOKMARK", "BOOKMARK"], [])


async def test_a_watch_from_the_future_tells_nothing_of_the_past(api: Api) -> None:
    watcher = await watch(api, revision=str(api.registry.revision + 2))
    for name in ("x", "y", "z"):
        await api.create(configmap(name))
    flush(api)
    assert watcher.told == ["ADDED z"]


async def test_a_watch_that_cannot_be_told_ends_and_takes_nobody_with_it(api: Api) -> None:
    since, heard = ListOptions(revision=str(api.registry.revision)), list[Batch]()

    def broken(batch: Batch) -> None:
        heard.append(batch)
        if batch is not END:
            raise ValueError

    (await api.registry.watch(api.request("watch", CONFIGMAP, "a"), since)).follow(broken)
    other = await watch(api, revision=since.revision)
    await api.create(configmap("x"))
    assert heard[1:] == [END]
    assert other.told == ["ADDED x"]


async def test_a_closed_watch_is_silent(api: Api) -> None:
    watcher = await watch(api, revision=str(api.registry.revision))
    watcher.subscription.close()
    await api.create(configmap("x"))
    flush(api)
    assert watcher.told == []


async def test_after_a_restart_old_revisions_are_expired_and_nothing_is_written() -> None:
    store = MemoryStore()
    async with running(store) as api:
        await api.namespace("a")
        made = await api.create(configmap("x"))
    revision = store.revision
    async with running(store) as api:
        assert await api.get(CONFIGMAP, "a", "x") == made
        with pytest.raises(Expired, match="too old resource version: 1"):
            await watch(api, revision="1")
        assert (await watch(api, revision=str(revision))).told == []
    assert store.revision == revision


async def test_events_end_after_their_hour(api: Api) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": "a"}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "a"}, "involvedObject": about}
    await api.create(event)
    reached = api.registry.revision
    await api.create(event | {"metadata": {"name": "f", "namespace": "a"}})
    await api.registry._state.expire_events(reached)
    await asyncio.sleep(0)
    assert await api.names(EVENT, "a") == ["f"]


async def test_a_cache_that_fell_behind_catches_up(api: Api) -> None:
    await api.create(configmap("x"))
    await api.create(configmap("y"))
    watcher = await watch(api, revision=str(api.registry.revision))
    store = api.registry._state.store
    api.task.cancel()
    await asyncio.sleep(0)
    await store.delete("/registry/core/configmaps/a/x")
    value = (await store.get("/registry/core/configmaps/a/y")).value
    await store.update("/registry/core/configmaps/a/y", value.replace(b"y", b"y", 1))
    await api.registry._state._catch_up()
    flush(api)
    assert watcher.told == ["MODIFIED y", "DELETED x"]
    assert api.registry.revision == store.revision
