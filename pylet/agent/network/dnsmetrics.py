"""What the cluster's resolver counts, in the words of CoreDNS, whose dashboards people have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


class Metrics:
    """Plain counters: counting is part of the hot path."""

    def __init__(self) -> None:
        self.udp = 0
        self.tcp = 0
        self.dropped = 0
        self.responses: Counter[int] = Counter()
        self.cache_hits = 0
        self.cache_misses = 0
        self.served_stale = 0
        self.forwarded = 0
        self.forward_failures = 0

    def answered(self, reply: bytes) -> None:
        if len(reply) > 3:
            self.responses[reply[3] & 0x0F] += 1

    def text(self) -> str:
        """In Prometheus' text form."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _counter("coredns_dns_requests_total", 'proto="udp"', self.udp, 'proto="tcp"', self.tcp)
        codes = [part for code, count in sorted(self.responses.items()) for part in (f'rcode="{_name(code)}"', count)]
        yield from _counter("coredns_dns_responses_total", *codes)
        yield from _counter("coredns_cache_hits_total", "", self.cache_hits)
        yield from _counter("coredns_cache_misses_total", "", self.cache_misses)
        yield from _counter("coredns_cache_served_stale_total", "", self.served_stale)
        yield from _counter("coredns_proxy_requests_total", "", self.forwarded)
        yield from _counter("coredns_forward_failures_total", "", self.forward_failures)
        yield from _counter("coredns_dns_dropped_total", "", self.dropped)


def _name(code: int) -> str:
    return _CODES.get(code, str(code))


def _counter(name: str, *labelled: str | int) -> Iterator[str]:
    yield f"# TYPE {name} counter"
    for labels, value in zip(labelled[::2], labelled[1::2], strict=True):
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
