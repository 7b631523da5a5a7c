"""Computations that a few bytes can make long, such as expressions and patterns: begun here, and if they are long,
begun anew apart from the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pylet.aio.apart import LARGE_BYTES, apart
from pylet.api import patience

T = TypeVar("T")


async def patient(size_bytes: int, compute: Callable[[], T]) -> T:
    """As `apart`, of what may be begun twice."""
    if size_bytes < LARGE_BYTES:
        try:
            return patience.at_once(compute)
        except patience.Longer:
            pass
    return await apart(LARGE_BYTES, compute)
