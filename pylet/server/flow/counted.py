"""What priority and fairness count: requests by flow schema and priority level, how long they waited and took."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.aio.prometheus import Counter, Histogram, gauges

_PREFIX = "apiserver_flowcontrol_"
_OF_FLOW = ("flow_schema", "priority_level")
_REASONS = ("queue-full", "concurrency-limit", "time-out", "cancelled")
_SECONDS = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)


class Counted:
    def __init__(self) -> None:
        self._executing: dict[tuple[str, str], int] = {}
        self._dispatched = Counter(f"{_PREFIX}dispatched_requests_total", "Requests that got seats.", _OF_FLOW)
        self._rejected = Counter(f"{_PREFIX}rejected_requests_total", "Refused with 429.", (*_OF_FLOW, "reason"))
        self._took = Histogram(f"{_PREFIX}request_execution_seconds", "On a seat.", (*_OF_FLOW, "type"), _SECONDS)
        self._waits = Histogram(
            f"{_PREFIX}request_wait_duration_seconds", "In a queue.", ("execute", *_OF_FLOW), _SECONDS
        )

    def entered(self, schema: str, level: str) -> None:
        self._executing[schema, level] = self._executing.get((schema, level), 0) + 1
        self._dispatched.add(schema, level)

    def left(self, schema: str, level: str, seconds: float) -> None:
        self._executing[schema, level] -= 1
        self._took.observe(seconds, schema, level, "regular")

    def waited(self, schema: str, level: str, seconds: float, *, executes: bool) -> None:
        self._waits.observe(seconds, str(executes).lower(), schema, level)

    def rejected(self, schema: str, level: str, reason: str) -> None:
        self._rejected.add(schema, level, reason)

    def ends(self, level: str) -> dict[str, int]:
        """How many requests of that level got seats, and how many did not and why, so far."""
        refused = {reason: self._rejected.total(priority_level=level, reason=reason) for reason in _REASONS}
        return {
            "dispatched": self._dispatched.total(priority_level=level),
            "rejected": sum(refused.values()),
            "timed_out": refused["time-out"],
            "cancelled": refused["cancelled"],
        }

    def lines(self) -> Iterator[str]:
        executing = [(dict(zip(_OF_FLOW, which, strict=True)), number) for which, number in self._executing.items()]
        yield from gauges(f"{_PREFIX}current_executing_requests", "Requests on seats.", executing)
        for counted in (self._dispatched, self._rejected, self._took, self._waits):
            yield from counted.lines()
