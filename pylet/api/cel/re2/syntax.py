"""RE2's syntax: a pattern → a tree of its parts.

Unicode classes know the general categories, and Greek, Cyrillic, Latin and Han of the scripts.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from pylet.api.cel.errors import EvaluationError

MAX_REPEAT = 1000
MAX_SIZE = 20_000
_SETS = {
    "d": [(48, 57)],
    "s": [(9, 10), (12, 13), (32, 32)],
    "w": [(48, 57), (65, 90), (95, 95), (97, 122)],
}
_POSIX = {
    "alnum": [(48, 57), (65, 90), (97, 122)],
    "alpha": [(65, 90), (97, 122)],
    "ascii": [(0, 127)],
    "blank": [(9, 9), (32, 32)],
    "cntrl": [(0, 31), (127, 127)],
    "digit": [(48, 57)],
    "graph": [(33, 126)],
    "lower": [(97, 122)],
    "print": [(32, 126)],
    "punct": [(33, 47), (58, 64), (91, 96), (123, 126)],
    "space": [(9, 13), (32, 32)],
    "upper": [(65, 90)],
    "word": _SETS["w"],
    "xdigit": [(48, 57), (65, 70), (97, 102)],
}
_ESCAPES = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_CATEGORIES = frozenset({
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
})  # fmt: skip
_SCRIPTS = {"Greek": "GREEK ", "Latin": "LATIN ", "Cyrillic": "CYRILLIC ", "Han": "CJK UNIFIED "}
_MAX = 0x10FFFF
Ranges = list[tuple[int, int]]


class BadPattern(EvaluationError):
    """The pattern is not RE2's syntax, or too large."""

    def __init__(self, problem: str, part: str) -> None:
        super().__init__(f"error parsing regexp: {problem}: `{part}`")


@dataclass(frozen=True, slots=True)
class Chars:
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Assert:
    kind: str  # ^ $ of a line, A z of the text, b B of words


@dataclass(frozen=True, slots=True)
class Seq:
    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    item: Part
    low: int
    high: int | None
    greedy: bool


Part = Chars | Assert | Seq | Alt | Repeat


def merge(ranges: Ranges) -> tuple[tuple[int, int], ...]:
    merged: Ranges = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _negate(ranges: Ranges) -> Ranges:
    result, start = [], 0
    for low, high in merge(ranges):
        if low > start:
            result.append((start, low - 1))
        start = high + 1
    return [*result, (start, _MAX)] if start <= _MAX else result


def _fold_case(ranges: Ranges) -> Ranges:
    folded = list(ranges)
    for low, high in ranges:
        if high - low > 2000:
            low, high = max(low, 0), min(high, 0x250)
        for code in range(low, high + 1):
            folded += [(ord(c), ord(c)) for c in (chr(code).lower(), chr(code).upper()) if len(c) == 1]
    return folded


@lru_cache(maxsize=16)
def _unicode(name: str) -> tuple[tuple[int, int], ...]:
    if name == "Any":
        return ((0, _MAX),)
    if name in _CATEGORIES:
        codes = [code for code in range(0x30000) if unicodedata.category(chr(code)).startswith(name)]
    elif prefix := _SCRIPTS.get(name):
        codes = [code for code in range(0x30000) if unicodedata.name(chr(code), "").startswith(prefix)]
    else:
        raise BadPattern("invalid character class range", f"\\p{{{name}}}")
    return merge([(code, code) for code in codes])


def parse(pattern: str) -> Part:
    """Raises: BadPattern."""
    parser = _Parser(pattern)
    part = parser.alternation()
    if parser.more():
        raise BadPattern("unexpected )", pattern)
    if size(part) > MAX_SIZE:
        raise BadPattern("expression too large", pattern[:60])
    return part


def size(part: Part) -> int:
    match part:
        case Seq(items) | Alt(items):
            return 1 + sum(map(size, items))
        case Repeat(item, low, high, _):
            return 1 + size(item) * max(low, high or 0, 1)
    return 1


_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|$)|\\.", re.DOTALL)


def _unquoted(match: re.Match[str]) -> str:
    """`\\Q…\\E` with each character escaped by itself; any other escape as it is."""
    if match[1] is None:
        return match[0]
    return "".join(f"\\x{{{ord(char):x}}}" for char in match[1])


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text = _QUOTED.sub(_unquoted, pattern)
        self.at = 0
        self.flags: frozenset[str] = frozenset()
        self.depth = 0
        self.names: set[str] = set()

    def more(self) -> bool:
        return self.at < len(self.text)

    def peek(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def accept(self, token: str) -> bool:
        if self.peek(token):
            self.at += len(token)
            return True
        return False

    def alternation(self) -> Part:
        self.depth += 1
        if self.depth > 150:
            raise BadPattern("expression nests too deeply", self.text[:60])
        branches = [self.sequence()]
        while self.accept("|"):
            branches.append(self.sequence())
        self.depth -= 1
        return Alt(tuple(branches)) if len(branches) > 1 else branches[0]

    def sequence(self) -> Part:
        items: list[Part] = []
        while self.more() and not self.peek("|") and not self.peek(")"):
            start = self.at
            item = self.atom()
            if item is not None:
                items.append(self.repeats(item, start))
        return Seq(tuple(items)) if len(items) != 1 else items[0]

    def repeats(self, item: Part, start: int) -> Part:
        repeated = False
        while self.more():
            begin = self.at
            bounds = self.bounds()
            if bounds is None:
                return item
            if repeated:
                raise BadPattern("invalid nested repetition operator", self.text[start + 1 : self.at])
            start = begin - 1
            greedy = self.accept("?") == ("U" in self.flags)
            item = Repeat(item, bounds[0], bounds[1], greedy)
            repeated = True
        return item

    def bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self.accept(sign):
                return bounds
        match = re.compile(r"\{(\d{1,9})(,(\d{0,9}))?\}", re.ASCII).match(self.text, self.at)
        if match is None:
            return None
        low = int(match[1])
        high = low if match[2] is None else int(match[3]) if match[3] else None
        if max(low, high or 0) > MAX_REPEAT or (high is not None and low > high):
            raise BadPattern("invalid repeat count", match[0])
        self.at = match.end()
        return low, high

    def atom(self) -> Part | None:
        char = self.text[self.at]
        if char in "*+?" or (char == "{" and self.bounds_here()):
            raise BadPattern("missing argument to repetition operator", char)
        self.at += 1
        if char == "(":
            return self.group()
        if char == "[":
            return self.brackets()
        if char == ".":
            return Chars(((0, _MAX),) if "s" in self.flags else ((0, 9), (11, _MAX)))
        if char == "^":
            return Assert("^" if "m" in self.flags else "A")
        if char == "$":
            return Assert("$" if "m" in self.flags else "z")
        if char == "\\":
            return self.escape()
        return self.chars([(ord(char), ord(char))])

    def bounds_here(self) -> bool:
        at = self.at
        found = self.bounds() is not None
        self.at = at
        return found

    def chars(self, ranges: Ranges) -> Chars:
        return Chars(merge(_fold_case(ranges) if "i" in self.flags else ranges))

    def group(self) -> Part | None:
        saved, start = self.flags, self.at - 1
        if self.accept("?"):
            if match := re.compile(r"P?<([A-Za-z0-9_]+)>").match(self.text, self.at):
                if match[1] in self.names:
                    raise BadPattern("duplicate capture group name", match[1])
                self.names.add(match[1])
                self.at = match.end()
            else:
                match = re.compile(r"([imsU]*)(?:-([imsU]+))?([:)])").match(self.text, self.at)
                if match is None:
                    raise BadPattern("invalid or unsupported Perl syntax", self.text[start : self.at + 1])
                self.flags = (self.flags | set(match[1])) - set(match[2] or "")
                self.at = match.end()
                if match[3] == ")":
                    return None
        item = self.alternation()
        if not self.accept(")"):
            raise BadPattern("missing closing )", self.text)
        self.flags = saved
        return item

    def escape(self) -> Part:
        if not self.more():
            raise BadPattern("trailing backslash at end of expression", "")
        char = self.text[self.at]
        if char in "AzbB":
            self.at += 1
            return Assert(char)
        ranges = self.class_escape()
        if ranges is not None:
            return Chars(merge(ranges))
        code = self.code_point()
        return self.chars([(code, code)])

    def class_escape(self) -> Ranges | None:
        """`\\d` and its like behind the backslash; None when a single character stands there."""
        char = self.text[self.at]
        if char.lower() in _SETS:
            self.at += 1
            return _SETS[char] if char.islower() else _negate(_SETS[char.lower()])
        if char in "pP" and (match := re.compile(r"[pP](?:\{(\^?)(\w+)\}|([A-Z]))").match(self.text, self.at)):
            self.at = match.end()
            ranges = list(_unicode(match[2] or match[3]))
            return _negate(ranges) if (char == "P") != bool(match[1]) else ranges
        return None

    def code_point(self) -> int:
        char = self.text[self.at]
        match = re.compile(r"x(?:\{([0-9a-fA-F]{1,8})\}|([0-9a-fA-F]{2}))|([0-7]{1,3})").match(self.text, self.at)
        if match and (char == "x" or char == "0" or len(match[0]) > 1):
            self.at = match.end()
            code = int(match[3], 8) if match[3] else int(match[1] or match[2], 16)
            if code <= _MAX:
                return code
        elif char in _ESCAPES:
            self.at += 1
            return _ESCAPES[char]
        elif not char.isalnum() and char.isascii():
            self.at += 1
            return ord(char)
        raise BadPattern("invalid escape sequence", "\\" + char)

    def brackets(self) -> Part:
        start, ranges = self.at - 1, list[tuple[int, int]]()
        negated = self.accept("^")
        first = True
        while first or not self.peek("]"):
            if not self.more():
                raise BadPattern("missing closing ]", self.text[start:])
            first = False
            ranges += self.bracket_item()
        self.at += 1
        if "i" in self.flags:
            ranges = _fold_case(ranges)
        return Chars(merge(_negate(ranges) if negated else ranges))

    def bracket_item(self) -> Ranges:
        if self.peek("[:") and (match := re.compile(r"\[:(\^?)(\w+):\]").match(self.text, self.at)):
            if match[2] not in _POSIX:
                raise BadPattern("invalid character class range", match[0])
            self.at = match.end()
            return _negate(_POSIX[match[2]]) if match[1] else _POSIX[match[2]]
        start = self.at
        if self.peek("\\") and self.at + 1 < len(self.text):
            self.at += 1
            if (ranges := self.class_escape()) is not None:
                return ranges
            self.at -= 1
        low = high = self.bracket_char()
        if self.peek("-") and not self.peek("-]") and self.at + 1 < len(self.text):
            self.at += 1
            high = self.bracket_char()
        if low > high:
            raise BadPattern("invalid character class range", self.text[start : self.at])
        return [(low, high)]

    def bracket_char(self) -> int:
        if self.accept("\\"):
            if not self.more():
                raise BadPattern("missing closing ]", self.text)
            return self.code_point()
        self.at += 1
        return ord(self.text[self.at - 1])
