"""`&&`, `||`, `!` and `?:`: closures for `compiler`, made of the closures of their parts."""

from __future__ import annotations

from typing import Any

from pylet.api.cel.frame import FAILURES, Closure, Frame, not_bool


def junction(left: Closure, right: Closure, *, settled_by: bool) -> Closure:
    """`&&`, which False settles, or `||`, which True does: whichever side says so, even if the other one fails."""
    neutral = not settled_by

    def join(frame: Frame) -> Any:
        try:
            value = left(frame)
        except FAILURES:
            if right(frame) is settled_by:
                return settled_by
            raise
        if value is settled_by:
            return settled_by
        other = right(frame)
        if value is neutral and (other is True or other is False):
            return other
        if other is settled_by:
            return settled_by
        raise not_bool()

    return join


def choice(condition: Closure, yes: Closure, no: Closure) -> Closure:
    def choose(frame: Frame) -> Any:
        value = condition(frame)
        if value is True:
            return yes(frame)
        if value is False:
            return no(frame)
        raise not_bool()

    return choose


def negation(operand: Closure) -> Closure:
    def negate(frame: Frame) -> bool:
        value = operand(frame)
        if value is True:
            return False
        if value is False:
            return True
        raise not_bool()

    return negate
