"""What the server counts about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pylet.aio import process
from pylet.aio.prometheus import Counter, Histogram, gauge, gauges
from pylet.version import LABELS

_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 30, 60)


_OF_REQUEST = ("component", "group", "resource", "scope", "subresource", "verb", "version")
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

    Names and labels are those that dashboards and alerts of the kubernetes-mixin ask for.
    """

    def __init__(self) -> None:
        labels = (*_OF_REQUEST, "dry_run")
        self._requests = Counter("apiserver_request_total", "Requests answered.", (*labels, "code", "system_client"))
        self._seconds = Histogram("apiserver_request_duration_seconds", "Answering them.", labels, _BUCKETS)
        self._bytes = Histogram("apiserver_response_sizes", "Of answers to GET and LIST.", _OF_REQUEST, _BYTES)
        self._cut_off = Counter("apiserver_request_terminations_total", "Cut off.", (*_OF_REQUEST, "code"))
        self._deprecated: set[tuple[str, ...]] = set()
        self._lasting: dict[Asked, int] = {}
        self.in_flight = {False: 0, True: 0}
        """Requests by whether they change something; those that last for hours are not among them."""
        self.sources: list[Callable[[], Iterator[str]]] = []
        """What other parts count, each as lines of its own."""

    def count(self, asked: Asked, dry_run: str, code: int, seconds: float, size: int, client: str) -> None:
        """`dry_run` is All, or "" where changes are meant; `client` a part of the control plane, or ""."""
        self._requests.add(*asked, dry_run, str(code), client)
        if asked.verb in _READS:
            self._bytes.observe(size, *asked)
        self._seconds.observe(seconds, *asked, dry_run)

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

    def is_deprecated(self, asked: Asked) -> None:
        self._deprecated.add((asked.group, asked.version, asked.resource, asked.subresource, ""))

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from self._requests.lines()
        yield from self._cut_off.lines()
        yield from self._bytes.lines()
        old = [(dict(zip(_OF_DEPRECATED, api, strict=True)), 1) for api in sorted(self._deprecated)]
        yield from gauges("apiserver_requested_deprecated_apis", "Deprecated, and asked for.", old)
        durations = list(self._seconds.lines())
        yield from durations
        for line in durations:  # no time that a client or a webhook took is told apart
            yield line.replace("_request_", "_request_sli_", 1)
        flights = [({"request_kind": _KINDS[changes]}, number) for changes, number in self.in_flight.items()]
        yield from gauges("apiserver_current_inflight_requests", "Requests being answered.", flights)
        lasting = [(asked._asdict(), number) for asked, number in self._lasting.items()]
        yield from gauges("apiserver_longrunning_requests", "Requests that may last for hours.", lasting)
        yield from gauge("kubernetes_build_info", "The version.", LABELS, 1)
        for source in self.sources:
            yield from source()
        yield from process.lines()
