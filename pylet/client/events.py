"""Tell users what happened to an object, as Events that `kubectl describe` shows.

Telling never delays the one who tells: events wait in a bounded queue, and when it is full the oldest is dropped. The
same thing said again raises the count of the Event there is, as client-go's `tools/record/events_cache.go` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass

from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import AlreadyExists, ApiError, NotFound
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.object import Key, Object
from pylet.client.interface import Client

log = logging.getLogger(__name__)

_WAITING = 1000
_REMEMBERED = 4096
_64_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling about an object; `type` is Normal or Warning."""

    about: Object
    type: str
    reason: str
    message: str
    field_path: str = ""


class Recorder:
    """`tell` from anywhere; `run` writes what was told. `component` and `host` say who speaks."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self._client = client
        self._clock = clock
        self._source = {"component": component} | ({"host": host} if host else {})
        self._waiting: deque[Notice] = deque(maxlen=_WAITING)
        self._told = asyncio.Event()
        self._written: OrderedDict[int, int] = OrderedDict()  # how often which was told

    def tell(self, about: Object, type_: str, reason: str, message: str, *, field_path: str = "") -> None:
        self._waiting.append(Notice(about, type_, reason, message, field_path))
        self._told.set()

    async def run(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            while self._waiting:
                notice = self._waiting.popleft()
                try:
                    await self._write(notice)
                except ApiError as failed:
                    log.debug("event %s: %s", notice.reason, failed.message)

    async def _write(self, notice: Notice) -> None:
        meta = notice.about["metadata"]
        said = meta.get("uid", ""), notice.type, notice.reason, notice.message, notice.field_path
        which = hash((*said, *self._source.values())) & _64_BITS  # also its name: 4,096 are 0.8 MiB, not 3
        key = Key(meta.get("namespace", "") or "default", f"{meta['name']}.{which:016x}")
        count = self._written.get(which, 0)
        if not (count and await self._tell_again(key, count + 1)):
            count = 0
            try:
                await self._client.create(EVENT, self._event(key, notice))
            except AlreadyExists:  # told, and forgotten since
                count = 1
                await self._tell_again(key, count + 1)
        self._written[which] = count + 1
        self._written.move_to_end(which)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    async def _tell_again(self, key: Key, count: int) -> bool:
        """False where it has expired."""
        now = timestamps.format_time(self._clock.now())
        try:
            await self._client.patch(EVENT, key, {"count": count, "lastTimestamp": now})
        except NotFound:
            return False
        return True

    def _event(self, key: Key, notice: Notice) -> Object:
        now = timestamps.format_time(self._clock.now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": key.name, "namespace": key.namespace},
            "involvedObject": _reference(notice),
            "type": notice.type,
            "reason": notice.reason,
            "message": notice.message[:1024],
            "source": self._source,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source.get("host", ""),
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }


def _reference(notice: Notice) -> Object:
    about, meta = notice.about, notice.about["metadata"]
    reference = {
        "apiVersion": about.get("apiVersion", ""),
        "kind": about.get("kind", ""),
        "name": meta["name"],
        "namespace": meta.get("namespace", ""),
        "uid": meta.get("uid", ""),
        "resourceVersion": meta.get("resourceVersion", ""),
        "fieldPath": notice.field_path,
    }
    return {name: value for name, value in reference.items() if value}
