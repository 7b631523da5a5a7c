"""Which commands somebody may have meant. Source: cobra `command.go`, SuggestionsFor."""

from __future__ import annotations

from collections.abc import Iterable

_SUGGEST_FOR = {"list": "get", "ls": "get", "inspect": "describe", "rm": "delete", "remove": "delete", "stats": "top"}
_MOST_EDITS = 2


def suggestions(typed: str, names: Iterable[str]) -> list[str]:
    typed = typed.lower()
    return [
        name
        for name in names
        if name.startswith(typed) or _SUGGEST_FOR.get(typed) == name or _edits(typed, name) <= _MOST_EDITS
    ]


def _edits(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, wanted in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != wanted))
    return row[-1]
