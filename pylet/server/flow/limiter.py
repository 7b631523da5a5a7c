"""Seats for requests: each priority level has its share of them and lends what it does not use.

What finds no seat waits its turn, flow by flow, or is told to come again. An idle level costs nothing, and a request
that finds a seat, as nearly all do, one dictionary look-up (0.8 µs).
Source: apiserver pkg/util/flowcontrol (KEP-1040); but each flow has a queue of its own, without shuffle sharding.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from math import ceil
from time import perf_counter
from typing import NamedTuple

from pylet.aio.prometheus import gauges
from pylet.api.kind import Kind
from pylet.api.kinds.flowschema import KIND as FLOW_SCHEMA
from pylet.api.kinds.prioritylevelconfiguration import KIND as PRIORITY_LEVEL
from pylet.api.object import Object, uid_of
from pylet.api.remembered import LONGEST
from pylet.client.view import Table
from pylet.server import spent
from pylet.server.auth.attributes import Attributes
from pylet.server.flow.classify import flow_of, precedence, schema_of
from pylet.server.flow.counted import Counted, Flow
from pylet.server.flow.standing import LevelState, Standing

SEATS = 600  # upstream's max-requests-inflight and max-mutating-requests-inflight
_WAIT_SECONDS = 15.0
_REMEMBERED = 2000
_READING = ("get", "list", "watch")


class Rejected(Exception):
    """No seat, and no place to wait for one."""


class _Turn(NamedTuple):
    """Of a request that waits since then, as `perf_counter` has it."""

    comes: asyncio.Future[None]
    asked: Attributes
    since: float


class _Level:
    def __init__(self, name: str) -> None:
        self.name = name
        self.uid = ""
        self.is_exempt = True
        self.shares = 0
        self.borrows: int | None = None
        self.most_waiting = 0
        self.seats = 0
        self.most = 0
        self.sitting: set[Seat] = set()
        self.waiting = 0
        self.flows: OrderedDict[str, deque[_Turn]] = OrderedDict()

    def follow(self, uid: str, spec: Object) -> None:
        """Be as the object says; who sits or waits stays."""
        limited = spec.get("limited") or {}
        response = limited.get("limitResponse") or {}
        queuing = response.get("queuing") or {}
        self.uid = uid
        self.is_exempt = spec.get("type") == "Exempt"
        self.shares = 0 if self.is_exempt else limited.get("nominalConcurrencyShares", 30)
        self.borrows = limited.get("borrowingLimitPercent")
        queues = response.get("type") == "Queue"
        self.most_waiting = queuing.get("queues", 64) * queuing.get("queueLengthLimit", 50) if queues else 0


class Seat:
    """Taken until `leave`; `headers` tell the client by which rules."""

    __slots__ = ("_level", "_limiter", "arrived", "asked", "flow", "headers", "since")

    def __init__(
        self,
        limiter: Limiter,
        level: _Level,
        flow: str,
        asked: Attributes,
        arrived: float,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        self._limiter = limiter
        self._level: _Level | None = level
        self.flow = flow
        self.asked = asked
        self.since = perf_counter()
        self.arrived = arrived or self.since
        self.headers = headers
        level.sitting.add(self)

    def leave(self) -> None:
        level, self._level = self._level, None
        if level is not None:
            level.sitting.discard(self)
            self._limiter._leave(level)
            self._limiter.counted.left(self.flow.partition("/")[0], level.name, perf_counter() - self.since)


class Limiter:
    def __init__(self, tables: Callable[[Kind], Table], seats: int = SEATS) -> None:
        self._total = seats
        self._taken = 0
        self._schemas: list[Object] = []
        self._levels: dict[str, _Level] = {}
        self._found: OrderedDict[tuple[object, ...], tuple[_Level, str, tuple[tuple[str, str], ...]]] = OrderedDict()
        self._tables = tables
        self._is_stale = True
        self.counted = Counted()
        for kind in (FLOW_SCHEMA, PRIORITY_LEVEL):
            tables(kind).listen(lambda before, after: self._forget())

    async def enter(self, asked: Attributes) -> Seat:
        """Raises: Rejected."""
        level, flow, headers = self._classify(asked)
        arrived = 0.0
        if not level.is_exempt:
            if level.waiting or not self._has_room(level):
                arrived = await self._wait(level, flow, asked)
            self._taken += 1
        self.counted.entered(flow.partition("/")[0], level.name)
        return Seat(self, level, flow, asked, arrived, headers)

    def states(self, now: datetime) -> list[LevelState]:
        """Who sits and who waits, by the name of the level."""
        if self._is_stale:
            self._settle()
        began = now - timedelta(seconds=perf_counter())
        return [self._state(level, began) for _, level in sorted(self._levels.items())]

    def _state(self, level: _Level, began: datetime) -> LevelState:
        """`began` is when `perf_counter` was 0."""

        def standing(flow: str, asked: Attributes, arrived: float, started: float | None) -> Standing:
            schema, _, flow = flow.partition("/")
            at = None if started is None else began + timedelta(seconds=started)
            return Standing(schema, flow, asked, began + timedelta(seconds=arrived), at)

        queues = [
            [standing(flow, turn.asked, turn.since, None) for turn in turns if not turn.comes.done()]
            for flow, turns in level.flows.items()
        ]
        sitting = [standing(seat.flow, seat.asked, seat.arrived, seat.since) for seat in level.sitting]
        return LevelState(level.name, [queue for queue in queues if queue], sitting, **self.counted.ends(level.name))

    def metrics(self) -> Iterator[str]:
        if self._is_stale:
            self._settle()
        levels = self._levels.values()
        for name, help_, value in (
            ("nominal_limit_seats", "Seats of a level.", lambda level: level.seats),
            ("lower_limit_seats", "Seats it always has.", lambda level: level.seats),
            ("upper_limit_seats", "Seats it can have.", lambda level: level.most),
            ("current_limit_seats", "Seats it could have now.", self._limit),
        ):
            values = [({"priority_level": level.name}, value(level)) for level in levels]
            yield from gauges(f"apiserver_flowcontrol_{name}", help_, values)
        sitting, waiting = Counter[Flow](), Counter[Flow]()
        kinds = {"readOnly": 0, "mutating": 0}
        for level in levels:
            sitting.update((seat.flow.partition("/")[0], level.name) for seat in level.sitting)
            for flow, turns in level.flows.items():
                there = [turn for turn in turns if not turn.comes.done()]
                waiting[flow.partition("/")[0], level.name] += len(there)
                for turn in there:
                    kinds["readOnly" if turn.asked.verb in _READING else "mutating"] += 1
        queued = [({"request_kind": kind}, number) for kind, number in kinds.items()]
        yield from gauges("apiserver_current_inqueue_requests", "Requests that wait.", queued)
        yield from self.counted.lines(sitting, waiting, {level.name for level in levels if level.is_exempt})

    # ---- rules

    def _forget(self) -> None:
        self._is_stale = True

    def _classify(self, asked: Attributes) -> tuple[_Level, str, tuple[tuple[str, str], ...]]:
        if self._is_stale:
            self._settle()
        user = asked.user
        key = (user.name, user.groups, asked.verb, asked.group, asked.full_resource, asked.namespace, asked.path)
        found = self._found.get(key)
        if found is None:
            found = self._decide(asked)
            if len(asked.path) + len(asked.namespace) + len(user.name) <= LONGEST:
                self._found[key] = found
            if len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        return found

    def _decide(self, asked: Attributes) -> tuple[_Level, str, tuple[tuple[str, str], ...]]:
        schema = schema_of(self._schemas, asked)
        if schema is None:  # before the first objects are there
            return _Level(""), "", ()
        level = self._levels[schema["spec"]["priorityLevelConfiguration"]["name"]]
        headers = (
            ("X-Kubernetes-PF-FlowSchema-UID", uid_of(schema)),
            ("X-Kubernetes-PF-PriorityLevel-UID", level.uid),
        )
        return level, f"{schema['metadata']['name']}/{flow_of(schema, asked)}", headers

    def _settle(self) -> None:
        self._is_stale = False
        self._found.clear()
        before = self._levels
        self._levels = {}
        for entry in self._tables(PRIORITY_LEVEL).entries.values():
            level = self._levels[entry.key.name] = before.get(entry.key.name) or _Level(entry.key.name)
            level.follow(entry.uid, entry.object["spec"])
        shares = sum(level.shares for level in self._levels.values())
        for level in self._levels.values():
            level.seats = ceil(self._total * level.shares / shares) if shares else self._total
            borrowed = self._total if level.borrows is None else level.seats * level.borrows // 100
            level.most = level.seats + borrowed
        served = (entry.object for entry in self._tables(FLOW_SCHEMA).entries.values())
        known = (s for s in served if s["spec"]["priorityLevelConfiguration"]["name"] in self._levels)
        self._schemas = sorted(known, key=precedence)

    # ---- seats

    def _limit(self, level: _Level) -> int:
        return min(level.most, max(level.seats, len(level.sitting) + self._total - self._taken))

    def _has_room(self, level: _Level) -> bool:
        """Its own seats are always there; others' while the server as a whole has some left."""
        taken = len(level.sitting)
        return taken < level.seats or (taken < level.most and self._taken < self._total)

    async def _wait(self, level: _Level, flow: str, asked: Attributes) -> float:
        """Since when. Raises: Rejected."""
        schema = flow.partition("/")[0]
        if level.waiting >= level.most_waiting:
            self.counted.rejected(schema, level.name, "queue-full" if level.most_waiting else "concurrency-limit")
            raise Rejected(level.name)
        since, executes = perf_counter(), False
        turn = _Turn(asyncio.get_running_loop().create_future(), asked, since)
        turns = level.flows.setdefault(flow, deque())
        turns.append(turn)
        level.waiting += 1
        self.counted.queued(schema, level.name, len(turns))
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await turn.comes
            executes = True
            return since
        except TimeoutError as late:
            self.counted.rejected(schema, level.name, "time-out")
            raise Rejected(level.name) from late
        except asyncio.CancelledError:
            self.counted.rejected(schema, level.name, "cancelled")
            raise
        finally:
            level.waiting -= 1
            waited = perf_counter() - since
            self.counted.waited(schema, level.name, waited, executes=executes)
            spent.one_after_another(waited)

    def _leave(self, level: _Level) -> None:
        if level.is_exempt:
            return
        self._taken -= 1
        if self._has_room(level):
            _call_next(level)


def _call_next(level: _Level) -> None:
    """The flows take turns."""
    while level.flows:
        flow, turns = level.flows.popitem(last=False)
        turn = turns.popleft()
        if turns:
            level.flows[flow] = turns
        if not turn.comes.done():
            turn.comes.set_result(None)
            return
