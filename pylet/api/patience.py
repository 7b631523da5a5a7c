"""How long a computation may last, counted in steps: an expression's cost, the states of a pattern. A few while others
wait for it, more where nobody does; whoever may take his time counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, TypeVar

T = TypeVar("T")

STEPS: Final = 50_000  # some 10 ms
MOST_STEPS: Final = 100_000_000  # half a minute

_left: ContextVar[int | None] = ContextVar("patience", default=None)


class Longer(Exception):
    """There is more to compute than it may take."""


def within(steps: int, compute: Callable[[], T]) -> T:
    """What `compute` returns. Raises: Longer."""
    token = _left.set(steps)
    try:
        return compute()
    finally:
        _left.reset(token)


def left() -> int | None:
    """How many steps are left; None: as many as it takes."""
    return _left.get()


def spend(steps: int) -> None:
    """Raises: Longer."""
    if (remaining := _left.get()) is not None:
        _left.set(remaining - steps)
        if steps > remaining:
            raise Longer
