"""A cause, what is behind it, and what one could do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """`because` are its own causes; `advice` is what would change it."""

    text: str
    because: tuple[Cause, ...] = ()
    advice: str = ""


def lines(causes: Iterable[Cause], depth: int = 0) -> Iterator[str]:
    """A tree for people to read."""
    for cause in causes:
        yield f"{'  ' * depth}- {cause.text}"
        if cause.advice:
            yield f"{'  ' * depth}    try: {cause.advice}"
        yield from lines(cause.because, depth + 1)
