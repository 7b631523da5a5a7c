"""Calling a function: directly where the types settle the overload, else by what the values are."""

from __future__ import annotations

from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.errors import CostExceeded
from pylet.api.cel.frame import Closure, Frame, charge
from pylet.api.cel.functions import Overload, dispatcher
from pylet.api.cel.syntax import Call


def is_settled(node: Call) -> bool:
    """Whether the static types already say that the one overload takes the arguments."""
    overload = node.overloads[0]
    for param, operand in zip(overload.params, node.operands, strict=True):
        kind = operand.type or t.DYN
        if param.kind not in ("dyn", "param") and (kind.kind != param.kind or kind.name != param.name):
            return False
    return True


def plain(overload: Overload, args: list[Closure]) -> Closure:
    run = overload.run
    match args:
        case [only]:
            return lambda frame: run(only(frame))
        case [first, second]:
            return lambda frame: run(first(frame), second(frame))
    return lambda frame: run(*[arg(frame) for arg in args])


def weighed(overload: Overload, args: list[Closure]) -> Closure:
    run, weigh = overload.run, overload.cost
    assert weigh is not None
    if len(args) == 2:
        first, second = args

        def binary(frame: Frame) -> Any:
            one, other = first(frame), second(frame)
            left = frame[0] - weigh(one, other)
            frame[0] = left
            if left < 0:
                raise CostExceeded
            return run(one, other)

        return binary

    def call(frame: Frame) -> Any:
        values = [arg(frame) for arg in args]
        charge(frame, weigh(*values))
        return run(*values)

    return call


def dispatched(node: Call, args: list[Closure]) -> Closure:
    choose = dispatcher(node.function, node.overloads)

    def call(frame: Frame) -> Any:
        values = [arg(frame) for arg in args]
        overload = choose(*values)
        charge(frame, 1 if overload.cost is None else overload.cost(*values))
        return overload.run(*values)

    return call
