"""What is asked of API servers over the network. Source: upstream component-base `metrics/prometheus/restclient`."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.aio.prometheus import Counter, Histogram

_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
_BYTES = (64, 256, 512, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216)
_OF = ("verb", "host")

_REQUESTS = Counter("rest_client_requests_total", "Requests by what was answered.", ("code", "method", "host"))
_DURATION = Histogram("rest_client_request_duration_seconds", "Until they were answered.", _OF, _SECONDS)
_SENT = Histogram("rest_client_request_size_bytes", "What was sent.", _OF, _BYTES)
_ANSWERED = Histogram("rest_client_response_size_bytes", "What came back.", _OF, _BYTES)


def answered(method: str, host: str, code: int, seconds: float, sent: int, received: int) -> None:
    _REQUESTS.add(str(code), method, host)
    _DURATION.observe(seconds, method, host)
    _SENT.observe(sent, method, host)
    _ANSWERED.observe(received, method, host)


def failed(method: str, host: str) -> None:
    _REQUESTS.add("<error>", method, host)


def lines() -> Iterator[str]:
    for each in (_REQUESTS, _DURATION, _SENT, _ANSWERED):
        yield from each.lines()
