"""A pattern as a set of states moved over the text: slower than backtracking, and without a worst case."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from pylet.api import patience
from pylet.api.cel.re2.syntax import MAX_SIZE, Alt, Assert, BadPattern, Chars, Part, Repeat, Seq


@dataclass(slots=True)
class Step:
    """`chars` moves on to `next` when the character fits; otherwise it is free, by `next`, then by `other`."""

    next: int = -1
    other: int = -1
    chars: tuple[tuple[int, int], ...] | None = None
    lows: tuple[int, ...] = ()
    kind: str = ""
    accept: bool = False


def assemble(part: Part) -> list[Step]:
    """The steps of a program whose last is where it begins. Raises: BadPattern, where they are too many."""
    assembly = _Assembly()
    end = assembly.add(Step(accept=True))
    assembly.add(Step(assembly.build(part, end)))
    return assembly.program


class _Assembly:
    """A program from its end to its beginning: each piece is told which step comes `then`."""

    def __init__(self) -> None:
        self.program: list[Step] = []

    def add(self, step: Step) -> int:
        """The step's number."""
        if len(self.program) > 4 * MAX_SIZE:
            raise BadPattern("expression too large", "")
        self.program.append(step)
        return len(self.program) - 1

    def build(self, piece: Part, then: int) -> int:
        """The number of the step that the piece begins with."""
        match piece:
            case Chars(ranges):
                return self.add(Step(then, chars=ranges, lows=tuple(low for low, _ in ranges)))
            case Assert(kind):
                return self.add(Step(then, kind=kind))
            case Seq(items):
                for item in reversed(items):
                    then = self.build(item, then)
                return then
            case Alt(items):
                entry = self.build(items[-1], then)
                for item in reversed(items[:-1]):
                    entry = self.add(Step(self.build(item, then), entry))
                return entry
            case Repeat():
                return self._repeat(piece, then)

    def _repeat(self, piece: Repeat, then: int) -> int:
        """So often as it must, and behind that a loop, or as many that can be left out."""
        if piece.high is None:
            entry = self.add(Step())
            body, loop = self.build(piece.item, entry), self.program[entry]
            loop.next, loop.other = (body, then) if piece.greedy else (then, body)
        else:
            entry = then
            for _ in range(piece.high - piece.low):
                body = self.build(piece.item, entry)
                entry = self.add(Step(body, then) if piece.greedy else Step(then, body))
        for _ in range(piece.low):
            entry = self.build(piece.item, entry)
        return entry


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


def run(program: list[Step], text: str, start: int, *, any_match: bool = False) -> tuple[int, int] | None:
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
        patience.spend(len(seen))
    return found
