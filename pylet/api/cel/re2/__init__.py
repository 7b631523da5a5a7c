"""RE2's regular expressions in time linear in the text, whatever the pattern.

Where a pattern's shape shows that Python's backtracking cannot blow up it becomes a Python pattern; any other runs as a
set of states. Both answer with RE2's leftmost-first match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from pylet.api.cel.re2.shape import longest
from pylet.api.cel.re2.states import Step, assemble, run
from pylet.api.cel.re2.syntax import Alt, Assert, BadPattern, Chars, Part, Repeat, Seq, parse

__all__ = ["BadPattern", "Pattern", "compile_pattern", "search"]


class Pattern:
    """A compiled pattern; `spans` are the matches, none overlapping, as RE2's FindAll gives them."""

    def __init__(self, source: str) -> None:
        part = parse(source)
        self._limit = longest(part)
        self._python = re.compile(_python(part), re.ASCII) if self._limit != 0 else None
        self._part = part
        self._program: list[Step] | None = None

    def is_fast(self, text: str) -> bool:
        """Whether Python's own engine reads this text."""
        return self._python is not None and (self._limit is None or len(text) <= self._limit)

    def find(self, text: str, start: int) -> tuple[int, int] | None:
        if self._python is not None and self.is_fast(text):
            found = self._python.search(text, start)
            return found.span() if found else None
        return run(self._states(), text, start)

    def matches(self, text: str) -> bool:
        if self._python is not None and self.is_fast(text):
            return self._python.search(text) is not None
        return run(self._states(), text, 0, any_match=True) is not None

    def _states(self) -> list[Step]:
        if self._program is None:
            self._program = assemble(self._part)
        return self._program

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        at, last = 0, -1
        while at <= len(text) and (span := self.find(text, at)):
            if span[0] < span[1] or span[0] != last:
                yield span
            last = span[1]
            at = span[1] + (span[0] == span[1])


@lru_cache(maxsize=256)
def compile_pattern(source: str) -> Pattern:
    """Raises: BadPattern."""
    return Pattern(source)


def search(text: str, pattern: str) -> bool:
    """Whether `pattern` matches anywhere in `text`."""
    return compile_pattern(pattern).matches(text)


_ASSERTS = {"A": r"\A", "z": r"\Z", "^": "(?m:^)", "$": r"(?=\n|\Z)", "b": r"\b", "B": r"(?!\b)"}


def _python(part: Part) -> str:
    match part:
        case Chars(ranges):
            if not ranges:
                return r"(?!)"
            body = "".join(f"{_escaped(low)}-{_escaped(high)}" for low, high in ranges)
            return f"[{body}]"
        case Assert(kind):
            return _ASSERTS[kind]
        case Seq(items):
            return "".join(map(_python, items))
        case Alt(items):
            return f"(?:{'|'.join(map(_python, items))})"
        case Repeat(item, low, high, greedy):
            return f"(?:{_python(item)}){{{low},{'' if high is None else high}}}{'' if greedy else '?'}"


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"
