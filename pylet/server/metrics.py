"""What the server counts about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pylet.aio import process
from pylet.aio.prometheus import Counter, Histogram, gauge
from pylet.version import KUBERNETES, VERSION

_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 30, 60)


class Metrics:
    """Requests by verb, resource and code; durations by verb and resource; watches and other requests in flight."""

    def __init__(self) -> None:
        of_request = ("group", "resource", "verb", "version")
        self._requests = Counter(
            "apiserver_request_total",
            "Requests answered.",
            ("code", "group", "resource", "subresource", "verb", "version"),
        )
        self._seconds = Histogram("apiserver_request_duration_seconds", "Answering them.", of_request, _BUCKETS)
        self.watches = 0
        self.sources: list[Callable[[], Iterator[str]]] = []
        """What other parts count, each as lines of its own."""

    def count(
        self, verb: str, group: str, version: str, resource: str, subresource: str, code: int, seconds: float
    ) -> None:
        self._requests.add(str(code), group, resource, subresource, verb, version)
        if verb != "WATCH":  # which lasts as long as its client likes
            self._seconds.observe(seconds, group, resource, verb, version)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from self._requests.lines()
        yield from self._seconds.lines()
        yield from gauge("apiserver_longrunning_requests", "Watches open.", {"verb": "WATCH"}, self.watches)
        major, minor = KUBERNETES.removeprefix("v").split(".")[:2]
        version = {"git_version": VERSION, "major": major, "minor": minor}
        yield from gauge("kubernetes_build_info", "The version.", version, 1)
        for source in self.sources:
            yield from source()
        yield from process.lines()
