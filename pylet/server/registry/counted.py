"""What the write path counts: the time that admission and the store take, under the names that dashboards ask for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Iterator, Sequence
from time import perf_counter
from typing import TypeVar

from pylet.aio.prometheus import Counter, Histogram
from pylet.api.kind import Kind
from pylet.server.admission.interface import Admit, Attributes

T = TypeVar("T")
_ADMISSION_SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5)
_STORE_SECONDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
_OF_WRITE = ("operation", "rejected", "type")
_OF_STORE = ("group", "operation", "resource")


class AdmissionTimes:
    """Of plugins each and together; `type` is admit or validate."""

    def __init__(self) -> None:
        prefix = "apiserver_admission"
        self._each = Histogram(
            f"{prefix}_controller_admission_duration_seconds", "Plugins.", ("name", *_OF_WRITE), _ADMISSION_SECONDS
        )
        self._steps = Histogram(
            f"{prefix}_step_admission_duration_seconds", "All of them.", _OF_WRITE, _ADMISSION_SECONDS
        )
        self._passed: dict[tuple[str, str], dict[str, list[float]]] = {}  # rows of `_each`, by name

    async def ask(self, plugins: Sequence[tuple[str, Admit]], write: Attributes, type_: str) -> None:
        """Ask one after the other: two dozen for a pod, so what each takes is counted in place. Raises: ApiError."""
        began = since = perf_counter()
        name, operation = "", write.operation.upper()
        passed = self._passed.setdefault((operation, type_), {})
        try:
            for name, plugin in plugins:
                await plugin(write)
                now = perf_counter()
                row = passed.get(name) or passed.setdefault(name, self._each.row(name, operation, "false", type_))
                row[bisect_left(_ADMISSION_SECONDS, now - since)] += 1
                row[-1] += now - since
                since = now
        except BaseException:
            now = perf_counter()
            self._each.observe(now - since, name, operation, "true", type_)
            self._steps.observe(now - began, operation, "true", type_)
            raise
        self._steps.observe(since - began, operation, "false", type_)

    def lines(self) -> Iterator[str]:
        yield from self._each.lines()
        yield from self._steps.lines()


class StoreTimes:
    """Of writes, by upstream's names for what it asks of etcd."""

    def __init__(self) -> None:
        self._seconds = Histogram("etcd_request_duration_seconds", "Writes to the store.", _OF_STORE, _STORE_SECONDS)
        self._asked = Counter("etcd_requests_total", "Writes to the store.", _OF_STORE)
        self._failed = Counter("etcd_request_errors_total", "Writes that failed or lost a race.", _OF_STORE)

    async def of(self, operation: str, kind: Kind, writing: Awaitable[T]) -> T:
        """What `writing` brings."""
        began, labels = perf_counter(), (kind.group, operation, kind.plural)
        self._asked.add(*labels)
        try:
            return await writing
        except Exception:
            self._failed.add(*labels)
            raise
        finally:
            self._seconds.observe(perf_counter() - began, *labels)

    def lines(self) -> Iterator[str]:
        for counted in (self._seconds, self._asked, self._failed):
            yield from counted.lines()
