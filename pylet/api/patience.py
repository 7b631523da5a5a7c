"""How long a computation may last at once while others wait for it, counted in steps: an expression's cost, the states
of a pattern. Whoever may take his time counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, TypeVar

T = TypeVar("T")

STEPS: Final = 50_000  # some 10 ms

_left: ContextVar[int | None] = ContextVar("patience", default=None)


class Longer(Exception):
    """There is more to compute than others can wait for."""


def at_once(compute: Callable[[], T]) -> T:
    """What `compute` returns. Raises: Longer, then it is to be begun anew where nobody waits."""
    token = _left.set(STEPS)
    try:
        return compute()
    finally:
        _left.reset(token)


def left() -> int | None:
    """How many steps others wait for; None: as many as it takes."""
    return _left.get()


def spend(steps: int) -> None:
    """Raises: Longer."""
    if (remaining := _left.get()) is not None:
        _left.set(remaining - steps)
        if steps > remaining:
            raise Longer
