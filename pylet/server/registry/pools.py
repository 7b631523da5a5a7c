"""Numbers that are handed out: which are taken, and which one comes next."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator


class Full(Exception):
    """Every value of the range is taken."""


class Refused(Exception):
    """The value asked for cannot be had; the text is upstream's."""


class Pool:
    """Numbers first..last. The first `static` are handed out only when the rest is full, so that people who choose
    their own rarely collide with the allocator (KEP-3070, KEP-3668). `taken` may be shared with other pools."""

    def __init__(self, first: int, last: int, static: int, taken: Counter[int] | None = None) -> None:
        self.first = first
        self.last = last
        self._dynamic = min(first + static, last)
        self.taken: Counter[int] = Counter() if taken is None else taken

    def choose(self) -> int:
        """A free number. Raises: Full."""
        found = next((number for number in self._candidates() if number not in self.taken), None)
        if found is None:
            raise Full("range is full")
        return found

    def _candidates(self) -> Iterator[int]:
        start = random.randint(self._dynamic, self.last)
        for low, high in ((start, self.last), (self._dynamic, start - 1), (self.first, self._dynamic - 1)):
            yield from range(low, high + 1)


class Held:
    """What one write has chosen so far."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self._held: list[tuple[Counter[int], int]] = []

    def take(self, taken: Counter[int], number: int) -> None:
        take(taken, number)
        self._held.append((taken, number))

    def let_go(self) -> None:
        for taken, number in self._held:
            free(taken, number)


def take(taken: Counter[int], number: int) -> None:
    taken[number] += 1


def free(taken: Counter[int], number: int) -> None:
    taken[number] -= 1
    if not taken[number]:
        del taken[number]


def static_part(size: int, part: int, most: int) -> int:
    """How many of a range's first values are kept for people; upstream's calculateRangeOffset."""
    return 0 if size < 16 else min(max(16, size // part), most)
