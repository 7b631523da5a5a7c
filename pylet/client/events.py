"""Tell users what happened to an object, as Events that `kubectl describe` shows.

Telling never delays the one who tells: events wait in a bounded queue, and when it is full the oldest is dropped. The
same thing said again raises the count of the Event there is, as client-go's `tools/record/events_cache.go` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import AlreadyExists, ApiError, NotFound
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.object import Key, Object
from pylet.client.correlation import Correlator, Seen
from pylet.client.interface import Client

log = logging.getLogger(__name__)

_WAITING = 1000
_REMEMBERED = 4096
_MOST = 1 << 24
_MESSAGE_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling about an object; `type` is Normal or Warning.

    Who says what `action` it was tells in the newer way: with the moment to the microsecond, and a series of what
    repeats in place of a count. Source: client-go `tools/events`.
    """

    about: Object
    type: str
    reason: str
    message: str
    field_path: str = ""
    action: str = ""
    related: Object | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


class Recorder:
    """`tell` from anywhere; `run` writes what was told. `component` and `host` say who speaks."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self._client = client
        self._clock = clock
        self._component, self._host = component, host
        self._waiting: deque[Notice] = deque(maxlen=_WAITING)
        self._told = asyncio.Event()
        self._written: OrderedDict[int, int] = OrderedDict()  # stamp and count as one: 4,096 are 0.6 MiB
        self._stamp = 0
        self._correlator = Correlator()

    def tell(
        self,
        about: Object,
        type_: str,
        reason: str,
        message: str,
        *,
        field_path: str = "",
        action: str = "",
        related: Object | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        notice = Notice(about, type_, reason, message, field_path, action, related, annotations or {})
        self._waiting.append(notice)
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
        seen = self._seen(notice)
        stamp, count = divmod(self._written.get(seen.which, 0), _MOST)
        if not seen.is_spam and not (count and await self._tell_again(_key(meta, stamp), notice, seen, count + 1)):
            stamp, count = await self._create(replace(notice, message=seen.message)), 0
        elif not count:
            return  # nobody was told of it before, either
        self._written[seen.which] = stamp * _MOST + min(count + 1, _MOST - 1)
        self._written.move_to_end(seen.which)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    def _seen(self, notice: Notice) -> Seen:
        """What is told in the newer way is told whatever there is of it."""
        meta = notice.about["metadata"]
        about = notice.about.get("kind"), meta.get("namespace"), meta["name"], meta.get("uid")
        what = notice.type, notice.reason, notice.message, notice.field_path
        if notice.action:
            return Seen(hash((about, *what)), notice.message, is_combined=False, is_spam=False)
        return self._correlator.see(about, *what, self._clock.monotonic())

    async def _create(self, notice: Notice) -> int:
        """A name each by when it was told: in order of names are those of one object in order of time."""
        while True:
            self._stamp = max(self._stamp + 1, int(self._clock.now().timestamp() * 1_000_000) * 1000)
            with suppress(AlreadyExists):  # somebody else told something at the same moment
                await self._client.create(EVENT, self._event(_key(notice.about["metadata"], self._stamp), notice))
                return self._stamp

    async def _tell_again(self, key: Key, notice: Notice, seen: Seen, count: int) -> bool:
        """False where it has expired."""
        now = self._clock.now()
        again: Object = {"count": count, "lastTimestamp": timestamps.format_time(now)}
        if seen.is_combined:
            again["message"] = seen.message[:_MESSAGE_CHARACTERS]
        if notice.action:
            again = {"series": {"count": count, "lastObservedTime": timestamps.format_micro(now)}}
        try:
            await self._client.patch(EVENT, key, again)
        except NotFound:
            return False
        return True

    def _event(self, key: Key, notice: Notice) -> Object:
        annotations = {"annotations": dict(notice.annotations)} if notice.annotations else {}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": key.name, "namespace": key.namespace, **annotations},
            "involvedObject": _reference(notice.about, notice.field_path),
            "type": notice.type,
            "reason": notice.reason,
            "message": notice.message[:_MESSAGE_CHARACTERS],
            "reportingComponent": self._component,
            **(self._as_action(notice) if notice.action else self._as_counted()),
        }

    def _as_counted(self) -> Object:
        now = timestamps.format_time(self._clock.now())
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        return {
            "source": source,
            "reportingInstance": self._host,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }

    def _as_action(self, notice: Notice) -> Object:
        related = {"related": _reference(notice.related)} if notice.related is not None else {}
        return {
            "action": notice.action,
            "eventTime": timestamps.format_micro(self._clock.now()),
            "reportingInstance": f"{self._component}-{self._host}",
            **related,
        }


def _key(meta: Object, stamp: int) -> Key:
    return Key(meta.get("namespace", "") or "default", f"{meta['name']}.{stamp:016x}")


def _reference(about: Object, field_path: str = "") -> Object:
    meta = about["metadata"]
    reference = {
        "apiVersion": about.get("apiVersion", ""),
        "kind": about.get("kind", ""),
        "name": meta["name"],
        "namespace": meta.get("namespace", ""),
        "uid": meta.get("uid", ""),
        "resourceVersion": meta.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {name: value for name, value in reference.items() if value}
