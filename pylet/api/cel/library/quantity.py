"""Quantities: Kubernetes' library/quantity.go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pylet.api import quantity
from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Functions, declare, traverse
from pylet.api.cel.types import Type, opaque
from pylet.api.cel.values import INT_MAX, INT_MIN


@dataclass(frozen=True, slots=True)
class Quantity:
    """Equal when the amounts are, however they were written."""

    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.Quantity")
    nanos: int


def parse_quantity(text: str) -> Quantity:
    try:
        return Quantity(quantity.parse(text).nanos)
    except ValueError as bad:
        raise EvaluationError(str(bad)) from bad


def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except ValueError:
        return False
    return True


def _is_integer(amount: Quantity) -> bool:
    return amount.nanos % quantity.NANOS == 0 and INT_MIN <= amount.nanos // quantity.NANOS <= INT_MAX


def _as_integer(amount: Quantity) -> int:
    if not _is_integer(amount):
        raise EvaluationError("cannot convert value to integer")
    return amount.nanos // quantity.NANOS


def _compare(one: Quantity, other: Quantity) -> int:
    return (one.nanos > other.nanos) - (one.nanos < other.nanos)


def declare_library(functions: Functions) -> None:
    kind = "kubernetes.Quantity"
    declare(functions, f"quantity(string): {kind}", parse_quantity, traverse(0.1))
    declare(functions, "isQuantity(string): bool", _is_quantity, traverse(0.1))
    declare(functions, f"sign({kind}): int", lambda one: _compare(one, Quantity(0)))
    declare(functions, f"{kind} -> isGreaterThan({kind}): bool", lambda one, other: one.nanos > other.nanos)
    declare(functions, f"{kind} -> isLessThan({kind}): bool", lambda one, other: one.nanos < other.nanos)
    declare(functions, f"{kind} -> compareTo({kind}): int", _compare)
    declare(functions, f"{kind} -> asApproximateFloat(): double", lambda one: one.nanos / quantity.NANOS)
    declare(functions, f"{kind} -> asInteger(): int", _as_integer)
    declare(functions, f"{kind} -> isInteger(): bool", _is_integer)
    declare(functions, f"{kind} -> add({kind}): {kind}", lambda one, other: Quantity(one.nanos + other.nanos))
    declare(functions, f"{kind} -> add(int): {kind}", lambda one, n: Quantity(one.nanos + n * quantity.NANOS))
    declare(functions, f"{kind} -> sub({kind}): {kind}", lambda one, other: Quantity(one.nanos - other.nanos))
    declare(functions, f"{kind} -> sub(int): {kind}", lambda one, n: Quantity(one.nanos - n * quantity.NANOS))
