"""Numbers that are handed out: which are taken, and which one comes next."""

from __future__ import annotations

import random
from collections import Counter as Amounts
from collections.abc import Iterator

from pylet.aio.prometheus import Counter

_SCOPES = {False: "dynamic", True: "static"}


class Full(Exception):
    """Every value of the range is taken."""


class Refused(Exception):
    """The value asked for cannot be had; the text is upstream's."""


class Pool:
    """Numbers first..last. The first `static` are handed out only when the rest is full, so that people who choose
    their own rarely collide with the allocator (KEP-3070, KEP-3668). `taken` may be shared with other pools."""

    def __init__(self, first: int, last: int, static: int, taken: Amounts[int] | None = None) -> None:
        self.first = first
        self.last = last
        self._dynamic = min(first + static, last)
        self.taken: Amounts[int] = Amounts() if taken is None else taken

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


class Choices:
    """How often numbers were handed out, by whether somebody asked for them; dry runs are not told of.

    Source: upstream `pkg/registry/core/service/{ipallocator,portallocator}/metrics.go`.
    """

    def __init__(self, prefix: str, labels: tuple[str, ...]) -> None:
        self._made = Counter(f"{prefix}_total", "Handed out.", (*labels, "scope"))
        self._refused = Counter(f"{prefix}_errors_total", "Not to be had.", (*labels, "scope"))

    def made(self, *of: str, is_asked_for: bool) -> None:
        self._made.add(*of, _SCOPES[is_asked_for])

    def refused(self, *of: str, is_asked_for: bool) -> None:
        self._refused.add(*of, _SCOPES[is_asked_for])

    def lines(self) -> Iterator[str]:
        yield from self._made.lines()
        yield from self._refused.lines()


class Held:
    """What one write has chosen so far."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self._held: list[tuple[Amounts[int], int]] = []

    def take(self, taken: Amounts[int], number: int) -> None:
        take(taken, number)
        self._held.append((taken, number))

    def let_go(self) -> None:
        for taken, number in self._held:
            free(taken, number)


def take(taken: Amounts[int], number: int) -> None:
    taken[number] += 1


def free(taken: Amounts[int], number: int) -> None:
    taken[number] -= 1
    if not taken[number]:
        del taken[number]


def static_part(size: int, part: int, most: int) -> int:
    """How many of a range's first values are kept for people; upstream's calculateRangeOffset."""
    return 0 if size < 16 else min(max(16, size // part), most)
