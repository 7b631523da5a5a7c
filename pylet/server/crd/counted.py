"""How long rules of definitions take to compile and to evaluate, and conversions by their webhooks.

Source: apiserver pkg/cel/metrics; apiextensions-apiserver pkg/apiserver/conversion/metrics.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TypeVar

from pylet.aio.prometheus import Counter, Histogram, doubling

T = TypeVar("T")
_CEL = {
    word: Histogram(f"apiserver_cel_{word}_duration_seconds", f"The {word} of definitions' rules.")
    for word in ("compilation", "evaluation")
}
_OF_CALL = ("failure_type", "result")
_CALLS = Counter("apiserver_conversion_webhook_request_total", "Conversions by webhooks.", _OF_CALL)
_CALL_SECONDS = Histogram(
    "apiserver_conversion_webhook_duration_seconds",
    "Until they answered.",
    _OF_CALL,
    (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45, 60),
)
_CONVERSIONS = Histogram(
    "apiserver_crd_conversion_webhook_duration_seconds",
    "Converting.",
    ("crd_name", "from_version", "succeeded", "to_version"),
    doubling(0.001, 15),
)


def timed(what: str, do: Callable[[], T]) -> T:
    """What `do` comes to; `what` is compilation or evaluation."""
    began = perf_counter()
    try:
        return do()
    finally:
        _CEL[what].observe(perf_counter() - began)


def called(seconds: float, failure: str = "") -> None:
    """A webhook was asked; `failure` is upstream's word for why it could not be used."""
    labels = failure, "failure" if failure else "success"
    _CALLS.add(*labels)
    _CALL_SECONDS.observe(seconds, *labels)


def converted(crd: str, old: str, new: str, seconds: float, *, succeeded: bool) -> None:
    """Objects of the definition of that name, from one version to another."""
    _CONVERSIONS.observe(seconds, crd, old, str(succeeded).lower(), new)


def lines() -> Iterator[str]:
    yield from _CALLS.lines()
    for each in (*_CEL.values(), _CALL_SECONDS, _CONVERSIONS):
        yield from each.lines()
