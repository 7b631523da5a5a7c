"""What the scheduler counts: attempts by what came of them and how long they took, moves of its queue, what it knows.

Source: upstream `pkg/scheduler/metrics`. What plugins filter and score is remembered and decided together, so that of
the points at which they are asked, only those are told that take a time of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pylet.aio.prometheus import Counter, Histogram, counts, doubling, gauges
from pylet.server.scheduler.preempt import Preemption, Useless
from pylet.server.scheduler.queue import Tried

_SECONDS = doubling(0.001, 15)
_POINT_SECONDS = doubling(0.0001, 12)
_SLI_SECONDS = doubling(0.01, 20)
_MOST_TOLD = 15


class Counted:
    """Seconds of attempts are from the moment at which a pod was taken out of the queue."""

    def __init__(self) -> None:
        of_attempt = ("profile", "result")
        self._attempts = Counter("scheduler_schedule_attempts_total", "Attempts to place a pod.", of_attempt)
        self._seconds = Histogram(
            "scheduler_scheduling_attempt_duration_seconds", "Deciding and binding.", of_attempt, _SECONDS
        )
        self.deciding = Histogram("scheduler_scheduling_algorithm_duration_seconds", "Deciding.", (), _SECONDS)
        self._tries = Histogram("scheduler_pod_scheduling_attempts", "Attempts until bound.", (), (1, 2, 4, 8, 16))
        self._sli = Histogram(
            "scheduler_pod_scheduling_sli_duration_seconds", "From the first attempt.", ("attempts",), _SLI_SECONDS
        )
        self._flushed = Counter("scheduler_pod_scheduled_after_flush_total", "Placed after five minutes of silence.")
        self._preemptions = Counter("scheduler_preemption_attempts_total", "Refused pods that room was looked for.")
        self._victims = Histogram("scheduler_preemption_victims", "Of one pod.", (), (1, 2, 4, 8, 16, 32, 64))
        self.points = Histogram(
            "scheduler_framework_extension_point_duration_seconds",
            "Asking all plugins of one point.",
            ("extension_point", "profile", "status"),
            _POINT_SECONDS,
        )

    def ended(self, profile: str, result: str, seconds: float) -> None:
        """`result` is scheduled, unschedulable or error."""
        self._attempts.add(profile, result)
        self._seconds.observe(seconds, profile, result)

    def bound(self, profile: str, tried: Tried, now: float) -> None:
        self.ended(profile, "scheduled", now - tried.at)
        self._tries.observe(tried.times)
        self._sli.observe(now - tried.first_at, str(tried.times) if tried.times < _MOST_TOLD else f"{_MOST_TOLD}+")
        if tried.was_flushed:
            self._flushed.add()

    def preempted(self, profile: str, found: Preemption | Useless, seconds: float) -> None:
        self._preemptions.add()
        status = "Unschedulable"
        if isinstance(found, Preemption):
            status = "Success"
            self._victims.observe(len(found.victims))
        self.points.observe(seconds, "PostFilter", profile, status)

    def lines(
        self,
        waiting: Mapping[str, int],
        moved: Mapping[tuple[str, str], int],
        refused: Mapping[tuple[str, str], int],
        known: Mapping[str, int],
    ) -> Iterator[str]:
        """`waiting` is by queue, `moved` by event and queue, `refused` by plugin and profile, `known` by type."""
        for each in (self._attempts, self._seconds, self.deciding, self._tries, self._sli, self._flushed):
            yield from each.lines()
        for each in (self._preemptions, self._victims, self.points):
            yield from each.lines()
        pending = [({"queue": queue}, number) for queue, number in waiting.items()]
        yield from gauges("scheduler_pending_pods", "Pods that wait.", pending)
        incoming = [({"event": event, "queue": queue}, number) for (event, queue), number in moved.items()]
        yield from counts("scheduler_queue_incoming_pods_total", "Pods that came into a queue.", incoming)
        by_plugin = [({"plugin": plugin, "profile": profile}, number) for (plugin, profile), number in refused.items()]
        yield from gauges("scheduler_unschedulable_pods", "Pods that a plugin refused.", by_plugin)
        yield from gauges("scheduler_cache_size", "What is known.", [({"type": t}, n) for t, n in known.items()])
