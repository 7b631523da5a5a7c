"""What priority and fairness count: requests by flow schema and priority level, how long they waited and took."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from pylet.aio.prometheus import Counter, Histogram, gauges

Flow: TypeAlias = tuple[str, ...]
"""A flow schema and a priority level."""

_PREFIX = "apiserver_flowcontrol_"
_OF_FLOW = ("flow_schema", "priority_level")
_LENGTHS = (0, 10, 25, 50, 100, 250, 500, 1000)
_SEATS = (1, 2, 4, 8, 16, 32, 64, 100)
_SECONDS = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)


class Counted:
    def __init__(self) -> None:
        self._dispatched = Counter(f"{_PREFIX}dispatched_requests_total", "Requests that got seats.", _OF_FLOW)
        self._rejected = Counter(f"{_PREFIX}rejected_requests_total", "Refused with 429.", (*_OF_FLOW, "reason"))
        self._took = Histogram(f"{_PREFIX}request_execution_seconds", "On a seat.", (*_OF_FLOW, "type"), _SECONDS)
        self._waits = Histogram(
            f"{_PREFIX}request_wait_duration_seconds", "In a queue.", ("execute", *_OF_FLOW), _SECONDS
        )

        self._lengths = Histogram(
            f"{_PREFIX}request_queue_length_after_enqueue", "Of a queue that somebody joined.", _OF_FLOW, _LENGTHS
        )

    def queued(self, schema: str, level: str, length: int) -> None:
        self._lengths.observe(length, schema, level)

    def entered(self, schema: str, level: str) -> None:
        self._dispatched.add(schema, level)

    def left(self, schema: str, level: str, seconds: float) -> None:
        self._took.observe(seconds, schema, level, "regular")

    def waited(self, schema: str, level: str, seconds: float, *, executes: bool) -> None:
        """Who does not wait needs not say so."""
        self._waits.observe(seconds, str(executes).lower(), schema, level)

    def rejected(self, schema: str, level: str, reason: str) -> None:
        self._rejected.add(schema, level, reason)

    def ends(self, level: str) -> dict[str, int]:
        """How many requests of that level got seats, and how many did not and why, so far."""
        refused = [(reason, number) for (_, at, reason), number in self._rejected.items() if at == level]
        return {
            "dispatched": sum(number for (_, at), number in self._dispatched.items() if at == level),
            "rejected": sum(number for _, number in refused),
            "timed_out": sum(number for reason, number in refused if reason == "time-out"),
            "cancelled": sum(number for reason, number in refused if reason == "cancelled"),
        }

    def lines(self, sitting: Mapping[Flow, int], waiting: Mapping[Flow, int], exempt: Collection[str]) -> Iterator[str]:
        """`sitting` and `waiting` are how many do so now; levels that are `exempt` let nobody wait."""
        flows = list(self._dispatched.items())
        for (schema, level), number in flows:
            if level not in exempt:
                row = self._waits.row("true", schema, level)
                row[0] += number - sum(row[:-1])  # who was let in at once
        for name, help_, now in (
            ("executing_requests", "Requests on seats.", sitting),
            ("executing_seats", "Seats taken: each request takes one.", sitting),
            ("inqueue_requests", "Requests that wait.", waiting),
            ("inqueue_seats", "Seats they wait for.", waiting),
        ):
            values = [(dict(zip(_OF_FLOW, flow, strict=True)), now.get(flow, 0)) for flow, _ in flows]
            yield from gauges(f"{_PREFIX}current_{name}", help_, values)
        estimated = Histogram(f"{_PREFIX}work_estimated_seats", "Each request takes one.", _OF_FLOW, _SEATS)
        for flow, number in flows:
            row = estimated.row(*flow)
            row[0] = row[-1] = number
        for counted in (self._dispatched, self._rejected, self._took, self._waits, self._lengths, estimated):
            yield from counted.lines()
