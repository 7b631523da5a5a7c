"""How much of a request's time is others': webhooks', and that of waiting for a seat.

It is kept by the request's id until the answer is counted; who works without a request has none.
Source: apiserver pkg/endpoints/request/webhook_duration.go.
"""

from __future__ import annotations

from contextvars import ContextVar

REQUEST_ID: ContextVar[str] = ContextVar("Audit-Id", default="")
"""What the request being answered is called in the audit log, and in every answer's Audit-Id."""
_MOST = 10_000
BY_REQUEST: dict[str, list[float]] = {}
"""Seconds of what was done one after another, and the most of what was done at once."""


def one_after_another(seconds: float) -> None:
    if (found := _of_request()) is not None:
        found[0] += seconds


def at_once(seconds: float) -> None:
    if (found := _of_request()) is not None:
        found[1] = max(found[1], seconds)


def _of_request() -> list[float] | None:
    if not (id_ := REQUEST_ID.get()):
        return None
    found = BY_REQUEST.setdefault(id_, [0.0, 0.0])
    if len(BY_REQUEST) > _MOST:  # somebody went on with what a request had begun
        del BY_REQUEST[next(iter(BY_REQUEST))]
    return found


def take() -> float:
    """Of the request that is being answered."""
    return sum(BY_REQUEST.pop(REQUEST_ID.get(), ()))
