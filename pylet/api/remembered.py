"""Answers kept for the texts that they are about, which recur. About long texts none is kept: anybody may send a
thousand of a megabyte each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

LONGEST = 512
"""Characters: a label's key and value, an Accept header."""


def remembered(most: int) -> Callable[[F], F]:
    """Keep what a function of a text, and of other arguments, answered last about `most` of them."""

    def remember(compute: F) -> F:
        known = lru_cache(most)(compute)

        @wraps(known)
        def asked(text: str, *more: Any, **named: Any) -> Any:
            return known(text, *more, **named) if len(text) <= LONGEST else compute(text, *more, **named)

        return asked  # type: ignore[return-value]

    return remember
