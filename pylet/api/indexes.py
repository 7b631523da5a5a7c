"""The indexes of an Indexed Job's pods as a Job's status writes them: `1,3-5,7`. Pure."""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator


def parse_indexes(text: str, completions: int) -> list[tuple[int, int]]:
    """Intervals, both ends included, in growing order. Raises: ValueError, worded as upstream."""
    found: list[tuple[int, int]] = []
    for fragment in text.split(",") if text else ():
        limits = fragment.split("-")
        if len(limits) > 2:
            raise ValueError(
                f'the fragment "{fragment}" violates the requirement that an index interval can have '
                "at most two parts separated by '-'"
            )
        first = _index(limits[0], completions)
        last = _index(limits[-1], completions)
        if len(limits) == 2 and first >= last:
            raise ValueError(f"non-increasing order, previous: {first}, current: {last}")
        if found and found[-1][1] >= first:
            raise ValueError(f"non-increasing order, previous: {found[-1][1]}, current: {first}")
        found.append((first, last))
    return found


def _index(text: str, completions: int) -> int:
    if not re.fullmatch(r"\+?[0-9]{1,18}", text):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


class Indexes:
    """A set of indexes as intervals: 100,000 that are done are one pair of numbers. Never changes."""

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        """Intervals, both ends included; they may overlap."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(intervals):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(merged[-1][1], last)
            else:
                merged.append((first, last))
        self.intervals = tuple(merged)

    @classmethod
    def parse(cls, text: str, completions: int) -> Indexes:
        """What a status says, less what lies beyond `completions` and what nobody can read."""
        found = []
        for fragment in text.split(","):
            first, _, last = fragment.partition("-")
            if first.isdecimal() and (last or first).isdecimal() and int(first) < completions:
                found.append((int(first), min(int(last or first), completions - 1)))
        return cls(found)

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self.intervals, (index, sys.maxsize)) - 1
        return at >= 0 and index <= self.intervals[at][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.intervals)

    def __or__(self, other: Indexes | Iterable[int]) -> Indexes:
        added = other.intervals if isinstance(other, Indexes) else ((index, index) for index in other)
        return Indexes([*self.intervals, *added])

    def __and__(self, other: Indexes) -> Indexes:
        return Indexes(
            (max(a, c), min(b, d)) for a, b in self.intervals for c, d in other.intervals if max(a, c) <= min(b, d)
        )

    def missing(self, completions: int) -> Iterator[int]:
        """The indexes below `completions` that are not in the set, lowest first."""
        at = 0
        for first, last in self.intervals:
            yield from range(at, min(first, completions))
            at = last + 1
        yield from range(at, completions)

    def __str__(self) -> str:
        return ",".join(_interval(first, last) for first, last in self.intervals)


def _interval(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}{',' if last == first + 1 else '-'}{last}"
