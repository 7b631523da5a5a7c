"""What the server counts about itself."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pylet.aio import process
from pylet.aio.prometheus import Counter, Histogram, gauge, gauges
from pylet.version import BUILD, EMULATED

_SECONDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
_SLI_SECONDS = _SECONDS[2:]
_UNTOLD = len(_SECONDS) - len(_SLI_SECONDS)
_OF_REQUEST = ("component", "group", "resource", "scope", "subresource", "verb", "version")
_OF_ALL = (*_OF_REQUEST, "dry_run")
_OF_DEPRECATED = ("group", "version", "resource", "subresource", "removed_release")
_BYTES = tuple(10.0**power for power in range(3, 10))
_READS = ("GET", "LIST")
_KINDS = {False: "readOnly", True: "mutating"}


class Asked(NamedTuple):
    """What a request was about. `scope` is resource, namespace, cluster, or "" where no resource was meant."""

    component: str
    group: str
    resource: str
    scope: str
    subresource: str
    verb: str
    version: str


class Metrics:
    """Requests by what they asked and how they ended, durations, watches and other requests in flight.

    Names and labels are those that dashboards and alerts of the kubernetes-mixin ask for. What every request adds to is
    found by one look-up. Source: apiserver pkg/endpoints/metrics.
    """

    def __init__(self) -> None:
        self._seconds = Histogram("apiserver_request_duration_seconds", "Answering them.", _OF_ALL, _SECONDS)
        self._bytes = Histogram("apiserver_response_sizes", "Of answers to GET and LIST.", _OF_REQUEST, _BYTES)
        self._rows: dict[tuple[Asked, str, int], _Row] = {}
        self._waits = Histogram(
            "", "", _OF_REQUEST, _SLI_SECONDS
        )  # what to put right in times that others took part of
        self._cut_off = Counter("apiserver_request_terminations_total", "Cut off.", (*_OF_REQUEST, "code"))
        self._aborts = Counter("apiserver_request_aborts_total", "Left by their clients.", _OF_REQUEST[1:])
        self._deprecated: set[tuple[str, ...]] = set()
        self._lasting: dict[Asked, int] = {}
        self.in_flight = {False: 0, True: 0}
        """Requests by whether they change something; those that last for hours are not among them."""
        self.sources: list[Callable[[], Iterator[str]]] = []
        """What other parts count, each as lines of its own."""

    def count(self, asked: Asked, dry_run: str, code: int, seconds: float, size: int) -> None:
        """`dry_run` is All, or "" where changes are meant."""
        row = self._rows.get((asked, dry_run, code))
        if row is None:
            row = self._row(asked, dry_run, code)
        row.times += 1
        row.seconds[bisect_left(_SECONDS, seconds)] += 1
        row.seconds[-1] += seconds
        if (sizes := row.bytes) is not None:
            sizes[bisect_left(_BYTES, size)] += 1
            sizes[-1] += size

    def _row(self, asked: Asked, dry_run: str, code: int) -> _Row:
        sizes = self._bytes.row(*asked) if asked.verb in _READS else None
        row = self._rows[asked, dry_run, code] = _Row(self._seconds.row(*asked, dry_run), sizes)
        return row

    def others_took(self, asked: Asked, seconds: float, others: float) -> None:
        """Of a request that counts as `seconds`, so many were webhooks' and the queue's."""
        row = self._waits.row(*asked)
        row[bisect_left(_SLI_SECONDS, seconds)] -= 1
        row[bisect_left(_SLI_SECONDS, seconds - others)] += 1
        row[-1] -= others

    @contextmanager
    def lasting(self, asked: Asked) -> Iterator[None]:
        """While a request is served that may last for hours."""
        self._lasting[asked] = self._lasting.get(asked, 0) + 1
        try:
            yield
        finally:
            self._lasting[asked] -= 1

    def cut_off(self, asked: Asked, code: int) -> None:
        """A request that was not let in, as the server has too much to do."""
        self._cut_off.add(*asked, str(code))

    def left(self, asked: Asked) -> None:
        """Its client did not wait for the answer."""
        self._aborts.add(*asked[1:])

    def is_deprecated(self, asked: Asked) -> None:
        self._deprecated.add((asked.group, asked.version, asked.resource, asked.subresource, ""))

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        requests = Counter("apiserver_request_total", "Requests answered.", (*_OF_ALL, "code"))
        for (asked, dry_run, code), row in self._rows.items():
            requests.set(row.times, *asked, dry_run, str(code))
        yield from requests.lines()
        for each in (self._cut_off, self._aborts, self._bytes, self._seconds):
            yield from each.lines()
        yield from self._indicators().lines()
        old = [(dict(zip(_OF_DEPRECATED, api, strict=True)), 1) for api in sorted(self._deprecated)]
        yield from gauges("apiserver_requested_deprecated_apis", "Deprecated, and asked for.", old)
        flights = [({"request_kind": _KINDS[changes]}, number) for changes, number in self.in_flight.items()]
        yield from gauges("apiserver_current_inflight_requests", "Requests being answered.", flights)
        lasting = [(asked._asdict(), number) for asked, number in self._lasting.items()]
        yield from gauges("apiserver_longrunning_requests", "Requests that may last for hours.", lasting)
        yield from gauge("kubernetes_build_info", "The version.", BUILD, 1)
        yield from gauge("version_info", "The version, and those it can stand for.", EMULATED, 1)
        for source in self.sources:
            yield from source()
        yield from process.lines()

    def _indicators(self) -> Histogram:
        """Times without those of others, of what was meant: for what a server promises."""
        found = Histogram("apiserver_request_sli_duration_seconds", "Its own time.", _OF_REQUEST, _SLI_SECONDS)
        for *asked, dry_run in self._seconds.labelled():
            if not dry_run:
                first, *others = self._seconds.row(*asked, dry_run)[_UNTOLD:]
                row = found.row(*asked)
                below = sum(self._seconds.row(*asked, dry_run)[:_UNTOLD])
                waits = self._waits.row(*asked) if self._waits.knows(*asked) else [0.0] * len(row)
                row[:] = map(sum, zip(row, (below + first, *others), waits, strict=True))
        return found


class _Row:
    """What is counted of one sort of requests; rows of histograms are shared by those that differ elsewhere."""

    __slots__ = ("bytes", "seconds", "times")

    def __init__(self, seconds: list[float], sizes: list[float] | None) -> None:
        self.times = 0
        self.seconds, self.bytes = seconds, sizes
