"""What the runner counts: plans by what came of them, and its queue as client-go's work queues are told of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pylet.aio.prometheus import Counter, Histogram, gauges

_SECONDS = (1e-08, 1e-07, 1e-06, 9.999999999999999e-06, 9.999999999999999e-05, 0.001, 0.01, 0.1, 1, 10)  # as Go counts


class Counted:
    """`name` is a controller's."""

    def __init__(self) -> None:
        self.plans = Counter("controller_runtime_reconcile_total", "Plans.", ("controller", "result"))
        self.adds = Counter("workqueue_adds_total", "Keys added.", ("name",))
        self.retries = Counter("workqueue_retries_total", "Keys added after a failure.", ("name",))
        self._waited = Histogram("workqueue_queue_duration_seconds", "From due to taken.", ("name",), _SECONDS)
        self._worked = Histogram("workqueue_work_duration_seconds", "From taken to done.", ("name",), _SECONDS)

    def done(self, name: str, waited: float, worked: float) -> None:
        self._waited.observe(waited, name)
        self._worked.observe(worked, name)

    def lines(
        self, names: Iterable[str], waiting: Iterable[str], working: Iterable[tuple[str, float]]
    ) -> Iterator[str]:
        """`waiting` names a controller for each of its keys; `working` says for how long, too."""
        depth = dict.fromkeys(names, 0)
        for name in waiting:
            depth[name] += 1
        together, longest = (dict.fromkeys(depth, 0.0) for _ in range(2))
        for name, seconds in working:
            together[name] += seconds
            longest[name] = max(longest[name], seconds)
        for metric, help_, values in (
            ("depth", "Keys that wait.", depth),
            ("unfinished_work_seconds", "Of keys being worked on, together.", together),
            ("longest_running_processor_seconds", "Of the key worked on for longest.", longest),
        ):
            yield from gauges(f"workqueue_{metric}", help_, [({"name": name}, value) for name, value in values.items()])
        for counted in (self.adds, self.retries, self._waited, self._worked, self.plans):
            yield from counted.lines()
