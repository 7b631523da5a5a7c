"""How long Python's backtracking engine may take over a pattern, told from its shape."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.cel.re2.syntax import Alt, Assert, Chars, Part, Ranges, Repeat, Seq, merge, size

_MAX_STEPS = 200_000  # of backtracking, some milliseconds
_MAX_QUADRATIC = 2_000  # characters; a deterministic pattern tried at each place of a text this long takes milliseconds


def longest(part: Part) -> int | None:
    """How long a text Python's engine may be given: None for any, 0 for none."""
    if _bounded(part):
        return None
    if _deterministic(part, []):
        return None if _anchored(part) else _MAX_QUADRATIC
    degree = _degree(part)
    if degree is None or _optionals(part) > 3:
        return 0
    return int(_MAX_STEPS ** (1 / max(degree + (not _anchored(part)), 1)))


def _bounded(part: Part) -> bool:
    """Whether no match is long, so that trying it at each place of the text stays linear."""
    match part:
        case Seq(items) | Alt(items):
            return sum(map(size, items)) < 60 and all(isinstance(i, Chars | Assert) or _bounded(i) for i in items)
        case Repeat(item, low, high, _):
            return isinstance(item, Chars) and high is not None and (low == high or high == 1)
    return True


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
    return all(a[1] < b[0] or b[1] < a[0] for a in merge(one) for b in merge(other))


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
