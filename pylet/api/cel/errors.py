"""What can go wrong with an expression: it does not compile, it fails, or it costs too much."""

from __future__ import annotations

from dataclasses import dataclass


class CelError(Exception):
    """The family's root: whatever a person can write in an expression ends in one of these or in a value."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One compile error and where it is: `offset` counts code points from the start; below 0 it is nowhere."""

    offset: int
    message: str

    def render(self, source: str) -> str:
        """The issue as cel-go prints it, with the line it is in and a caret (common/error.go, ToDisplayString)."""
        if self.offset < 0:
            return f"ERROR: <input>:-1:0: {self.message}"
        if not source:
            return f"ERROR: <input>:1:0: {self.message}"
        before = source[: self.offset]
        line_number = before.count("\n") + 1
        column = self.offset - (before.rfind("\n") + 1)
        text = f"ERROR: <input>:{line_number}:{column + 1}: {self.message}"
        lines = source.split("\n")
        line = lines[line_number - 1] if line_number <= len(lines) else ""
        if len(line) > 16384:
            return text
        line = line.replace("\t", " ")
        dots = "".join("．" if ord(char) > 127 else "." for char in line[:column])
        caret = "＾" if line[column : column + 1] > "\x7f" else "^"
        return f"{text}\n | {line}\n | {dots}{caret}"


class CompileError(CelError):
    """The expression is no valid CEL in its environment; `issues` are in source order."""

    def __init__(self, source: str, issues: list[Issue]) -> None:
        self.issues = sorted(issues, key=lambda issue: issue.offset)
        super().__init__("\n".join(issue.render(source) for issue in self.issues))


class EvaluationError(CelError):
    """A value the expression asks for does not exist: a missing key, an overflow, a bad conversion."""


class CostExceeded(CelError):
    """The evaluation was cut off; unlike an EvaluationError no operator absorbs it."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


_NATIVE = frozenset(("@in", "contains", "endsWith", "matches", "startsWith"))


def no_such_overload(function: str, names: list[str]) -> EvaluationError:
    """The error of a call whose arguments have, at run time, types the function is not declared for.

    What values do themselves, as operators, is told without names.
    """
    if "_" in function or function in _NATIVE:
        return EvaluationError("no such overload")
    told = function if function == "size" else f"{function}({', '.join(names)})"
    return EvaluationError(f"no such overload: {told}")
