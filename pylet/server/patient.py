"""Computations that a few bytes can make long, such as expressions and patterns: begun here, and if they are long,
begun anew apart from the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pylet.aio.apart import LARGE_BYTES, apart
from pylet.api import patience
from pylet.api.errors import Timeout

T = TypeVar("T")


async def patient(size_bytes: int, compute: Callable[[], T]) -> T:
    """As `apart`, of what may be begun twice. Raises: Timeout."""
    if size_bytes < LARGE_BYTES:
        try:
            return patience.within(patience.STEPS, compute)
        except patience.Longer:
            pass
    try:
        return await apart(LARGE_BYTES, partial(patience.within, patience.MOST_STEPS, compute))
    except patience.Longer as longer:
        raise Timeout(
            "Timeout: request did not complete within requested timeout - context deadline exceeded"
        ) from longer
