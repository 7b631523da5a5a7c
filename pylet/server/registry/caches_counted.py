"""What the watch caches tell monitoring: how much they hold, what came, and what they gave to lists and watches.

Source: apiserver pkg/storage/cacher/metrics, pkg/storage/etcd3/metrics. Nothing is counted here: the caches do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from pylet.aio.prometheus import counts, gauges
from pylet.api.kind import Kind
from pylet.server.registry.cache import HISTORY_EVENTS, Cache
from pylet.server.registry.feed import Feed

_LISTS = ("total", "fetched_objects_total", "returned_objects_total")


def lines(feeds: Iterable[Feed], served: Collection[Cache]) -> Iterator[str]:
    """`feeds` are those of all kinds that are followed, `served` the caches that clients may use."""
    by_resource = {feed.cache.kind.resource: feed for feed in feeds}  # whatever its versions
    sizes = [({"resource": name}, len(feed.cache.table.entries)) for name, feed in by_resource.items()]
    yield from gauges("apiserver_storage_objects", "Objects.", sizes)

    def told(of: Callable[[Feed], int]) -> list[tuple[dict[str, str], float]]:
        return [(_labels(feed.cache.kind), of(feed)) for feed in by_resource.values()]

    prefix, cache = "apiserver_watch_cache", "apiserver_storage"
    yield from gauges("apiserver_resource_objects", "Objects.", told(lambda feed: len(feed.cache.table.entries)))
    yield from gauges("apiserver_resource_size_estimate_bytes", "Of the objects.", told(_bytes))
    yield from gauges(f"{prefix}_resource_version", "What it has come to.", told(lambda feed: feed.cache.seen()))
    yield from gauges("watch_cache_capacity", "Changes it may remember.", told(lambda feed: HISTORY_EVENTS))
    for name, help_, of in (
        (f"{cache}_events_received_total", "Changes that the store told of.", lambda feed: feed.taken),
        (f"{prefix}_events_received_total", "Changes that came.", lambda feed: feed.taken),
        (f"{prefix}_events_dispatched_total", "Changes that it took.", lambda feed: feed.cache.applied),
        (f"{prefix}_initializations_total", "How often it was filled.", lambda feed: feed.filled),
        ("apiserver_init_events_total", "Objects that watches began with.", lambda feed: feed.cache.opened),
    ):
        yield from counts(name, help_, [(labels, number) for labels, number in told(of) if number])
    yield from _of_lists(served)
    events = [({**_labels(each.kind), "version": each.kind.version}, each.told) for each in served if each.told]
    yield from counts("apiserver_watch_events_total", "Events given to watchers.", events)


def _of_lists(served: Collection[Cache]) -> Iterator[str]:
    for at, name in enumerate(_LISTS):
        found: dict[tuple[str, str, str], int] = {}
        for cache in served:
            for index, numbers in cache.lists.items():
                of = cache.kind.group, cache.kind.plural, "" if name == _LISTS[2] else index
                found[of] = found.get(of, 0) + numbers[at]
        values = [(_labelled(*of, has_index=name != _LISTS[2]), number) for of, number in found.items()]
        yield from counts(f"apiserver_cache_list_{name}", "Of lists, and objects for them.", values)
    fresh = [
        ({**_labels(cache.kind), "fallback": "false", "success": "true"}, cache.consistent)
        for cache in served
        if cache.consistent
    ]
    yield from counts("apiserver_watch_cache_consistent_read_total", "Lists of what there is now.", fresh)


def _labels(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "resource": kind.plural}


def _labelled(group: str, resource: str, index: str, *, has_index: bool) -> dict[str, str]:
    return {"group": group, "resource": resource} | ({"index": index} if has_index else {})


def _bytes(feed: Feed) -> int:
    return sum(len(entry.raw) for entry in feed.cache.table.entries.values())
