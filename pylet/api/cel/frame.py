"""What a compiled expression runs on: a list of values, and the cost that is left in its place 0.

The variables follow. What a node always costs is summed while compiling and charged where its branch is entered (the
root, a loop's round, the right side of `&&`); only sizes that are known at run time are charged at the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pylet.api.cel.errors import CostExceeded, EvaluationError

Frame = list[Any]
Closure = Callable[[Frame], Any]
Costed = tuple[Closure, int]
# What an expression's own failure looks like: besides EvaluationError what Python says of a value of the wrong kind.
FAILURES = (EvaluationError, TypeError, AttributeError, ValueError, OverflowError)
UNSET = object()
"""What stands in the frame for a variable without a value."""


def charge(frame: Frame, cost: int) -> None:
    left = frame[0] - cost
    frame[0] = left
    if left < 0:
        raise CostExceeded


def charged(costed: Costed) -> Closure:
    """A branch that pays for itself when it is entered."""
    run, cost = costed
    if cost == 0:
        return run

    def branch(frame: Frame) -> Any:
        left = frame[0] - cost
        frame[0] = left
        if left < 0:
            raise CostExceeded
        return run(frame)

    return branch


def not_bool() -> EvaluationError:
    return EvaluationError("no such overload")
