"""Answers what is asked below `/apis/metrics.k8s.io/v1beta1`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pylet.aio.clock import Clock
from pylet.api import selector
from pylet.api.errors import MethodNotAllowed, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, labels_of
from pylet.client.view import Entry, Table
from pylet.server.usage import objects, samples
from pylet.server.usage.sampling import Read, Sampling


class Usage:
    """`ask` reads from a node's kubelet."""

    def __init__(self, tables: Callable[[Kind], Table], ask: Read, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._sampling = Sampling(tables(NODE), ask, clock)

    async def answer(self, method: str, path: str, query: Mapping[str, str], *, as_table: bool = False) -> Object:
        """Raises: ApiError."""
        if method != "GET":
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        match path.strip("/").split("/")[3:]:
            case []:
                return objects.DISCOVERY
            case ["nodes"]:
                found = await self._nodes(_wanted(query, self._tables(NODE).entries.values()))
                return _many("NodeMetrics", found, query, as_table=as_table)
            case ["nodes", name]:
                entry = self._tables(NODE).entries.get(Key("", name))
                one = await self._nodes([entry] if entry is not None else [])
                return _only(one, "nodemetrics", name, query, as_table=as_table)
            case ["pods"]:
                found = await self._pods(_wanted(query, self._tables(POD).entries.values()))
                return _many("PodMetrics", found, query, as_table=as_table)
            case ["namespaces", namespace, "pods"]:
                found = await self._pods(_wanted(query, self._tables(POD).in_namespace(namespace).values()))
                return _many("PodMetrics", found, query, as_table=as_table)
            case ["namespaces", namespace, "pods", name]:
                entry = self._tables(POD).entries.get(Key(namespace, name))
                one = await self._pods([entry] if entry is not None else [])
                return _only(one, "podmetrics", f"{namespace}/{name}", query, as_table=as_table)
        unknown = NotFound("", "", "")
        unknown.message, unknown.details = "the server could not find the requested resource", {}
        raise unknown

    async def _nodes(self, entries: Iterable[Entry]) -> list[Object]:
        pairs = await self._sampling.pairs()
        now, found = self._clock.now(), []
        for entry in sorted(entries, key=lambda entry: entry.key):
            before, after = pairs.get(entry.key.name, (None, None))
            if before is None or after is None:
                continue
            if (use := samples.use_between(before.node, after.node)) is not None:
                found.append(objects.node_metrics(entry.object, use, now))
        return found

    async def _pods(self, entries: Iterable[Entry]) -> list[Object]:
        pairs = await self._sampling.pairs()
        now, found = self._clock.now(), []
        for entry in sorted(entries, key=lambda entry: entry.key):
            pod = entry.object
            pair = pairs.get(dig(pod, "spec", "nodeName", default=""))
            if pair is None or dig(pod, "status", "phase") != "Running":
                continue
            if (uses := samples.pod_use(*pair, entry.key)) is not None:
                found.append(objects.pod_metrics(pod, uses, now))
        return found


def _wanted(query: Mapping[str, str], entries: Iterable[Entry]) -> list[Entry]:
    labels = selector.parse_labels(query.get("labelSelector", ""))
    fields = selector.parse_fields(query.get("fieldSelector", ""))
    return [entry for entry in entries if labels(labels_of(entry.object)) and fields.matches(_field_of(entry))]


def _field_of(entry: Entry) -> Callable[[str], Any]:
    return lambda path: dig(entry.object, *path.split("."))


def _many(kind: str, items: list[Object], query: Mapping[str, str], *, as_table: bool) -> Object:
    return objects.table(items, query.get("includeObject", "")) if as_table else objects.listed(kind, items)


def _only(found: list[Object], plural: str, name: str, query: Mapping[str, str], *, as_table: bool) -> Object:
    if not found:
        raise NotFound(objects.GROUP, plural, name)
    return objects.table(found, query.get("includeObject", "")) if as_table else found[0]
