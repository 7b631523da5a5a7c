"""Who has a seat and who waits for one, as tables for people: /debug/api_priority_and_fairness/. Pure.

Source: apiserver pkg/util/flowcontrol/apf_controller_debug.go. Flows have a queue of their own as long as they wait,
and take turns without virtual time: columns about that say `<none>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pylet.server.auth.attributes import Attributes

_NONE = "<none>"
_LEAST_WIDTH = 8
_LEVEL_COLUMNS = (
    "PriorityLevelName",
    "ActiveQueues",
    "IsIdle",
    "IsQuiescing",
    "WaitingRequests",
    "ExecutingRequests",
    "DispatchedRequests",
    "RejectedRequests",
    "TimedoutRequests",
    "CancelledRequests",
)
_QUEUE_COLUMNS = (
    "PriorityLevelName",
    "Index",
    "PendingRequests",
    "ExecutingRequests",
    "SeatsInUse",
    "NextDispatchR",
    "InitialSeatsSum",
    "MaxSeatsSum",
    "TotalWorkSum",
)
_REQUEST_COLUMNS = (
    "PriorityLevelName",
    "FlowSchemaName",
    "QueueIndex",
    "RequestIndexInQueue",
    "FlowDistingsher",  # as upstream spells it
    "ArriveTime",
    "InitialSeats",
    "FinalSeats",
    "AdditionalLatency",
    "StartTime",
)
_DETAIL_COLUMNS = ("UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
_NOT_YET = "0001-01-01T00:00:00Z"  # as Go prints no time


@dataclass(frozen=True, slots=True)
class Standing:
    """One request; `started` is None while it waits."""

    schema: str
    flow: str
    asked: Attributes
    arrived: datetime
    started: datetime | None


@dataclass(frozen=True, slots=True)
class LevelState:
    """A priority level: the queues of flows that wait, who sits, and how many requests ended in which way so far."""

    name: str
    queues: Sequence[Sequence[Standing]]
    sitting: Sequence[Standing]
    dispatched: int
    rejected: int
    timed_out: int
    cancelled: int


def priority_levels(states: Iterable[LevelState]) -> str:
    return _table(_LEVEL_COLUMNS, map(_level, states))


def queues(states: Iterable[LevelState]) -> str:
    rows = (
        (state.name, index, len(queue), 0, 0, _NONE, len(queue), len(queue), _NONE)
        for state in states
        for index, queue in enumerate(state.queues)
    )
    return _table(_QUEUE_COLUMNS, rows)


def requests(states: Iterable[LevelState], *, details: bool) -> str:
    columns = _REQUEST_COLUMNS + (_DETAIL_COLUMNS if details else ())
    return _table(columns, (row + (_details(one.asked) if details else ()) for row, one in _requests(states)))


def _level(state: LevelState) -> tuple[object, ...]:
    waiting, sitting = sum(map(len, state.queues)), len(state.sitting)
    idle = "false" if waiting or sitting else "true"
    ended = (state.dispatched, state.rejected, state.timed_out, state.cancelled)
    return state.name, len(state.queues), idle, "false", waiting, sitting, *ended


def _requests(states: Iterable[LevelState]) -> Iterator[tuple[tuple[object, ...], Standing]]:
    for state in states:
        for index, queue in enumerate(state.queues):
            for place, one in enumerate(queue):
                yield _request(state.name, index, place, one), one
        for one in state.sitting:
            yield _request(state.name, -1, -1, one), one


def _request(level: str, queue: int, place: int, one: Standing) -> tuple[object, ...]:
    started = _time(one.started) if one.started is not None else _NOT_YET
    return level, one.schema, queue, place, one.flow, _time(one.arrived), 1, 0, "0s", started


def _details(asked: Attributes) -> tuple[object, ...]:
    version = f"{asked.group}/{asked.version}" if asked.group else asked.version
    where = (asked.namespace, asked.name, version, asked.resource, asked.subresource)
    return asked.user.name, asked.verb, asked.path or _path(asked), *where


def _path(asked: Attributes) -> str:
    parts = ["/apis", asked.group] if asked.group else ["/api"]
    parts.append(asked.version)
    if asked.namespace and asked.resource != "namespaces":
        parts += ["namespaces", asked.namespace]
    return "/".join([*parts, *filter(None, (asked.resource, asked.name, asked.subresource))])


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Cells end in commas and are as wide as the widest of their column; the last is as wide as it is."""
    cells = [list(columns), *([str(cell) for cell in row] for row in rows)]
    last = len(columns) - 1
    widths = [max(_LEAST_WIDTH, *(len(row[column]) + 2 for row in cells)) for column in range(last)]
    return "".join(
        "".join(f"{cell},".ljust(width) for cell, width in zip(row, widths, strict=False)) + row[last] + "\n"
        for row in cells
    )
