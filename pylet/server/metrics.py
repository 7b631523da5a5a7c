"""What the server counts about itself, as Prometheus text. Counting is one dictionary update and a bisection."""

from __future__ import annotations

import os
import resource
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator

from pylet.version import KUBERNETES, VERSION

_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Metrics:
    """Requests by verb, resource and code; durations by verb and resource; watches and other requests in flight."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, str, str, str, int], int] = {}
        self._seconds: dict[tuple[str, str, str, str], list[float]] = {}
        self.watches = 0
        self.sources: list[Callable[[], Iterator[str]]] = []
        """What other parts count, each as lines of its own."""
        self._started = time.time()

    def count(
        self, verb: str, group: str, version: str, resource: str, subresource: str, code: int, seconds: float
    ) -> None:
        key = (verb, group, version, resource, subresource, code)
        self._requests[key] = self._requests.get(key, 0) + 1
        if verb == "WATCH":
            return  # lasts as long as its client likes
        row = self._seconds.get(key[:4])
        if row is None:
            row = self._seconds[key[:4]] = [0.0] * (len(_BUCKETS) + 2)
        row[bisect_left(_BUCKETS, seconds)] += 1
        row[-1] += seconds

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield "# TYPE apiserver_request_total counter"
        for (verb, group, version, name, subresource, code), number in self._requests.items():
            labels = f'code="{code}",group="{group}",resource="{name}",subresource="{subresource}"'
            yield f'apiserver_request_total{{{labels},verb="{verb}",version="{version}"}} {number}'
        yield "# TYPE apiserver_request_duration_seconds histogram"
        for (verb, group, version, name), row in self._seconds.items():
            labels = f'group="{group}",resource="{name}",verb="{verb}",version="{version}"'
            total = 0.0
            for bound, within in zip((*_BUCKETS, "+Inf"), row[:-1], strict=True):
                total += within
                yield f'apiserver_request_duration_seconds_bucket{{{labels},le="{bound}"}} {total:.0f}'
            yield f"apiserver_request_duration_seconds_sum{{{labels}}} {row[-1]:.6f}"
            yield f"apiserver_request_duration_seconds_count{{{labels}}} {total:.0f}"
        yield "# TYPE apiserver_longrunning_requests gauge"
        yield f'apiserver_longrunning_requests{{verb="WATCH"}} {self.watches}'
        yield "# TYPE kubernetes_build_info gauge"
        major, minor = KUBERNETES.removeprefix("v").split(".")[:2]
        yield f'kubernetes_build_info{{git_version="{VERSION}",major="{major}",minor="{minor}"}} 1'
        for source in self.sources:
            yield from source()
        yield from self._process()

    def _process(self) -> Iterator[str]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        with open("/proc/self/statm") as file:
            resident = int(file.read().split()[1]) * _PAGE
        yield "# TYPE process_cpu_seconds_total counter"
        yield f"process_cpu_seconds_total {used.ru_utime + used.ru_stime:.2f}"
        yield "# TYPE process_resident_memory_bytes gauge"
        yield f"process_resident_memory_bytes {resident}"
        yield "# TYPE process_open_fds gauge"
        yield f"process_open_fds {len(os.listdir('/proc/self/fd'))}"
        yield "# TYPE process_start_time_seconds gauge"
        yield f"process_start_time_seconds {self._started:.2f}"
