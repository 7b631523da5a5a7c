"""The indexes of an Indexed Job's pods as a Job's status writes them: `1,3-5,7`. Pure."""

from __future__ import annotations

import re


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
