"""Tell users what happened to an object, as Events that `kubectl describe` shows.

Telling never delays the one who tells: events wait in a bounded queue, and when it is full the oldest is dropped. The
same thing said again raises the count of the Event there is, as client-go's `tools/record/events_cache.go` does.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass

from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import ApiError, NotFound
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.object import Key, Object
from pylet.client.interface import Client

log = logging.getLogger(__name__)

_WAITING = 1000
_REMEMBERED = 4096


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
        self._written: OrderedDict[tuple[str, ...], tuple[Key, int]] = OrderedDict()

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
        same = (meta.get("uid", ""), notice.type, notice.reason, notice.message, notice.field_path)
        known = self._written.get(same)
        now = timestamps.format_time(self._clock.now())
        if known is not None:
            key, count = known
            try:
                await self._client.patch(EVENT, key, {"count": count + 1, "lastTimestamp": now})
                self._remember(same, key, count + 1)
                return
            except NotFound:
                pass  # it has expired: say it anew
        namespace = meta.get("namespace", "") or "default"
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}", "namespace": namespace},
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
        await self._client.create(EVENT, event)
        self._remember(same, Key(namespace, event["metadata"]["name"]), 1)

    def _remember(self, same: tuple[str, ...], key: Key, count: int) -> None:
        self._written[same] = key, count
        self._written.move_to_end(same)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)


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
