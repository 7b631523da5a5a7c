"""RE2's regular expressions in time linear in the text, whatever the pattern.

A pattern is parsed by RE2's syntax. Where its shape shows that Python's backtracking cannot blow up it becomes a Python
pattern; any other runs as a set of states moved over the text, slower and without a worst case. Both answer with RE2's
leftmost-first match. Unicode classes know the general categories, and Greek, Cyrillic, Latin and Han of the scripts.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pylet.api.cel.errors import EvaluationError

MAX_REPEAT = 1000
MAX_SIZE = 20_000
MAX_STEPS = 200_000  # of backtracking, some milliseconds
MAX_QUADRATIC = 2_000  # characters; a deterministic pattern tried at each place of a text this long takes milliseconds
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


def _merge(ranges: Ranges) -> tuple[tuple[int, int], ...]:
    merged: Ranges = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _negate(ranges: Ranges) -> Ranges:
    result, start = [], 0
    for low, high in _merge(ranges):
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
    return _merge([(code, code) for code in codes])


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
        return Chars(_merge(_fold_case(ranges) if "i" in self.flags else ranges))

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
            return Chars(_merge(ranges))
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
        return Chars(_merge(_negate(ranges) if negated else ranges))

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


def _size(part: Part) -> int:
    match part:
        case Seq(items) | Alt(items):
            return 1 + sum(map(_size, items))
        case Repeat(item, low, high, _):
            return 1 + _size(item) * max(low, high or 0, 1)
    return 1


def _nullable(part: Part) -> bool:
    match part:
        case Chars():
            return False
        case Seq(items):
            return all(map(_nullable, items))
        case Alt(items):
            return any(map(_nullable, items))
        case Repeat(item, low, _, _):
            return low == 0 or _nullable(item)
    return True


def _first(part: Part) -> Ranges:
    """The characters a match of `part` can begin with."""
    match part:
        case Chars(ranges):
            return list(ranges)
        case Seq(items):
            found: Ranges = []
            for item in items:
                found += _first(item)
                if not _nullable(item):
                    break
            return found
        case Alt(items):
            return [pair for item in items for pair in _first(item)]
        case Repeat(item, _, _, _):
            return _first(item)
    return []


def _disjoint(one: Ranges, other: Ranges) -> bool:
    return all(a[1] < b[0] or b[1] < a[0] for a in _merge(one) for b in _merge(other))


def _deterministic(part: Part, follow: Ranges) -> bool:
    """Whether every choice of `part` is settled by the next character, so that backtracking has nothing to redo."""
    match part:
        case Seq(items):
            for at, item in enumerate(items):
                rest = Seq(items[at + 1 :])
                after = _first(rest) + (follow if _nullable(rest) else [])
                if not _deterministic(item, after):
                    return False
            return True
        case Alt(items):
            starts = [_first(item) + (follow if _nullable(item) else []) for item in items]
            apart = all(_disjoint(a, b) for at, a in enumerate(starts) for b in starts[at + 1 :])
            return apart and all(_deterministic(item, follow) for item in items)
        case Repeat(item, low, high, _):
            if high == low:
                return high == 0 or (not _nullable(item) and _deterministic(item, _first(item) + follow))
            first = _first(item)
            return not _nullable(item) and _disjoint(first, follow) and _deterministic(item, first + follow)
    return True


def _anchored(part: Part) -> bool:
    match part:
        case Assert("A"):
            return True
        case Seq(items):
            return bool(items) and _anchored(items[0])
        case Alt(items):
            return all(map(_anchored, items))
    return False


def _longest(part: Part) -> int | None:
    """How long a text Python's engine may be given: None for any, 0 for none."""
    if _bounded(part):
        return None
    if _deterministic(part, []):
        return None if _anchored(part) else MAX_QUADRATIC
    degree = _degree(part)
    if degree is None or _optionals(part) > 3:
        return 0
    return int(MAX_STEPS ** (1 / max(degree + (not _anchored(part)), 1)))


def _degree(part: Part) -> int | None:
    """Backtracking takes at most the text's length to this power; None where it may take exponentially long."""
    match part:
        case Seq(items) | Alt(items):
            degrees = [_degree(item) for item in items]
            if None in degrees:
                return None
            return sum(degree or 0 for degree in degrees) + isinstance(part, Alt)
        case Repeat(Chars(), _, _, _):
            return 1
        case Repeat(item, 0, 1, _):
            return _degree(item)
        case Repeat(Seq((Chars(ranges), *rest)), _, _, _):
            # Each round begins with a character found nowhere else in it: a text falls into rounds in one way only.
            inner = _degree(Seq(tuple(rest)))
            apart = all(_disjoint(list(ranges), list(other)) for other in _alphabet(Seq(tuple(rest))))
            if inner is not None and inner <= 1 and apart and _optionals(Seq(tuple(rest))) <= 1:
                return inner + 1
            return None
        case Repeat():
            return None
    return 0


def _alphabet(part: Part) -> Iterator[tuple[tuple[int, int], ...]]:
    match part:
        case Chars(ranges):
            yield ranges
        case Seq(items) | Alt(items):
            for item in items:
                yield from _alphabet(item)
        case Repeat(item, _, _, _):
            yield from _alphabet(item)


def _optionals(part: Part) -> int:
    match part:
        case Seq(items) | Alt(items):
            return sum(map(_optionals, items))
        case Repeat(item, low, high, _):
            return _optionals(item) + (low == 0 and high == 1)
    return 0


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


class Pattern:
    """A compiled pattern; `spans` are the matches, none overlapping, as RE2's FindAll gives them."""

    def __init__(self, source: str) -> None:
        parser = _Parser(source)
        part = parser.alternation()
        if parser.more():
            raise BadPattern("unexpected )", source)
        if _size(part) > MAX_SIZE:
            raise BadPattern("expression too large", source[:60])
        self._limit = _longest(part)
        self._python = re.compile(_python(part), re.ASCII) if self._limit != 0 else None
        self._part = part
        self._program: list[_Step] | None = None

    def is_fast(self, text: str) -> bool:
        """Whether Python's own engine reads this text."""
        return self._python is not None and (self._limit is None or len(text) <= self._limit)

    def find(self, text: str, start: int) -> tuple[int, int] | None:
        if self._python is not None and self.is_fast(text):
            found = self._python.search(text, start)
            return found.span() if found else None
        if self._program is None:
            self._program = _assemble(self._part)
        return _run(self._program, text, start)

    def matches(self, text: str) -> bool:
        if self._python is not None and self.is_fast(text):
            return self._python.search(text) is not None
        if self._program is None:
            self._program = _assemble(self._part)
        return _run(self._program, text, 0, any_match=True) is not None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        at, last = 0, -1
        while at <= len(text) and (span := self.find(text, at)):
            if span[0] < span[1] or span[0] != last:
                yield span
            last = span[1]
            at = span[1] + (span[0] == span[1])


def _bounded(part: Part) -> bool:
    """Whether no match is long, so that trying it at each place of the text stays linear."""
    match part:
        case Seq(items) | Alt(items):
            return sum(map(_size, items)) < 60 and all(isinstance(i, Chars | Assert) or _bounded(i) for i in items)
        case Repeat(item, low, high, _):
            return isinstance(item, Chars) and high is not None and (low == high or high == 1)
    return True


@dataclass(slots=True)
class _Step:
    """`chars` moves on to `next` when the character fits; otherwise it is free, by `next`, then by `other`."""

    next: int = -1
    other: int = -1
    chars: tuple[tuple[int, int], ...] | None = None
    lows: tuple[int, ...] = ()
    kind: str = ""
    accept: bool = False


def _assemble(part: Part) -> list[_Step]:
    program: list[_Step] = []

    def add(step: _Step) -> int:
        if len(program) > 4 * MAX_SIZE:
            raise BadPattern("expression too large", "")
        program.append(step)
        return len(program) - 1

    def build(piece: Part, then: int) -> int:
        match piece:
            case Chars(ranges):
                return add(_Step(then, chars=ranges, lows=tuple(low for low, _ in ranges)))
            case Assert(kind):
                return add(_Step(then, kind=kind))
            case Seq(items):
                for item in reversed(items):
                    then = build(item, then)
                return then
            case Alt(items):
                entry = build(items[-1], then)
                for item in reversed(items[:-1]):
                    entry = add(_Step(build(item, then), entry))
                return entry
            case Repeat(item, low, high, greedy):
                if high is None:
                    loop = add(_Step())
                    body = build(item, loop)
                    program[loop].next, program[loop].other = (body, then) if greedy else (then, body)
                    entry = loop
                else:
                    entry = then
                    for _ in range(high - low):
                        body = build(item, entry)
                        entry = add(_Step(body, then) if greedy else _Step(then, body))
                for _ in range(low):
                    entry = build(item, entry)
                return entry

    end = add(_Step(accept=True))
    add(_Step(build(part, end)))
    return program


def _holds(kind: str, text: str, at: int) -> bool:
    match kind:
        case "A":
            return at == 0
        case "z":
            return at == len(text)
        case "^":
            return at == 0 or text[at - 1] == "\n"
        case "$":
            return at == len(text) or text[at] == "\n"
    before = at > 0 and (text[at - 1].isalnum() or text[at - 1] == "_") and text[at - 1].isascii()
    after = at < len(text) and (text[at].isalnum() or text[at] == "_") and text[at].isascii()
    return (before != after) == (kind == "b")


def _run(program: list[_Step], text: str, start: int, *, any_match: bool = False) -> tuple[int, int] | None:
    """Pike's machine: threads in order of preference, each with where it began; at most one in each step."""
    found: tuple[int, int] | None = None
    threads: list[tuple[int, int]] = []
    entry = len(program) - 1
    for at in range(start, len(text) + 1):
        if found is None:
            threads.append((entry, at))
        elif not threads:
            break
        seen: set[int] = set()
        waiting: list[tuple[int, int]] = []
        code = ord(text[at]) if at < len(text) else -1
        for first, began in threads:
            stack = [first]
            stop = False
            while stack:
                number = stack.pop()
                if number in seen:
                    continue
                seen.add(number)
                step = program[number]
                if step.accept:
                    found = (began, at)
                    if any_match:
                        return found
                    stop = True
                    break
                if step.chars is not None:
                    place = bisect_right(step.lows, code) - 1
                    if place >= 0 and code <= step.chars[place][1]:
                        waiting.append((step.next, began))
                elif not step.kind or _holds(step.kind, text, at):
                    if step.other >= 0:
                        stack.append(step.other)
                    stack.append(step.next)
            if stop:
                break
        threads = waiting
    return found


def find_by_states(pattern: Pattern, text: str) -> tuple[int, int] | None:
    """The match of the slower engine, whatever the pattern is: what tests compare."""
    return _run(_assemble(pattern._part), text, 0)


@lru_cache(maxsize=256)
def compile_pattern(source: str) -> Pattern:
    """Raises: BadPattern."""
    return Pattern(source)


def search(text: str, pattern: str) -> bool:
    """Whether `pattern` matches anywhere in `text`."""
    return compile_pattern(pattern).matches(text)
