"""What the cluster's resolver counts, in the words of CoreDNS, whose dashboards people have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pylet.aio.prometheus import counts

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
        queries = ({"proto": "udp"}, self.udp), ({"proto": "tcp"}, self.tcp)
        yield from counts("coredns_dns_requests_total", "Queries.", queries)
        codes = [({"rcode": _CODES.get(code, str(code))}, count) for code, count in sorted(self.responses.items())]
        yield from counts("coredns_dns_responses_total", "Answers.", codes)
        yield from counts("coredns_cache_hits_total", "Answers from memory.", [({}, self.cache_hits)])
        yield from counts("coredns_cache_misses_total", "Queries it could not answer.", [({}, self.cache_misses)])
        yield from counts("coredns_cache_served_stale_total", "Answers past their time.", [({}, self.served_stale)])
        yield from counts("coredns_proxy_requests_total", "Queries passed on.", [({}, self.forwarded)])
        yield from counts("coredns_forward_failures_total", "Those nobody answered.", [({}, self.forward_failures)])
        yield from counts("coredns_dns_dropped_total", "Queries too many.", [({}, self.dropped)])
