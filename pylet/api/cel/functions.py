"""What a function is: its overloads, and how a call finds the right one while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pylet.api.cel.errors import no_such_overload
from pylet.api.cel.re2 import compile_pattern
from pylet.api.cel.types import Type, parse_type, split_types
from pylet.api.cel.values import size_of, type_of

Cost = Callable[..., int]
SLOW_TEXT = 500  # characters; what the slower engine reads in a millisecond or two


@dataclass(frozen=True, slots=True, eq=False)
class Overload:
    """One signature; `params` begins with the receiver's type when `member`. `cost` None is upstream's 1."""

    function: str
    params: tuple[Type, ...]
    result: Type
    member: bool
    run: Callable[..., Any]
    cost: Cost | None

    def takes(self, kinds: Iterable[Type]) -> bool:
        """Whether values of these run-time types can be passed."""
        return all(map(_takes, self.params, kinds))


def _takes(param: Type, kind: Type) -> bool:
    if param.kind in ("dyn", "param"):
        return True
    return param.kind == kind.kind and param.name == kind.name


Functions = dict[str, list[Overload]]


def declare(functions: Functions, signature: str, run: Callable[..., Any], cost: Cost | None = None) -> None:
    """Add `name(param, …): result` or, for a member, `receiver -> name(param, …): result`."""
    head, _, result = signature.rpartition("): ")
    receiver, _, head = head.rpartition(" -> ")
    name, _, rest = head.partition("(")
    params = [receiver] * bool(receiver) + split_types(rest)
    overload = Overload(name, tuple(map(parse_type, params)), parse_type(result), bool(receiver), run, cost)
    functions.setdefault(name, []).append(overload)


def dispatcher(function: str, overloads: list[Overload]) -> Callable[..., Overload]:
    """A function from arguments to the overload that takes them; it remembers what it found by their types."""
    found: dict[tuple[type, ...], Overload] = {}

    def choose(*args: Any) -> Overload:
        key = tuple(map(type, args))
        overload = found.get(key)
        if overload is None:
            kinds = [type_of(arg) for arg in args]
            for candidate in overloads:
                if len(candidate.params) == len(args) and candidate.takes(kinds):
                    overload = found[key] = candidate
                    break
            else:
                raise no_such_overload(function, [kind.type_name for kind in kinds])
        return overload

    return choose


def traverse(factor: float) -> Cost:
    """The cost of reading the first argument `factor` × 10 times."""

    def cost(first: Any, *_: Any) -> int:
        return math.ceil(size_of(first) * factor)

    return cost


def regex_cost(text: Any, pattern: Any, *_: Any) -> int:
    """Upstream's, and what it takes beyond that where the pattern is one that Python's engine is not trusted with."""
    cost = math.ceil((1.0 + size_of(text)) * 0.1) * math.ceil(size_of(pattern) * 0.25)
    slow = len(text) > SLOW_TEXT and not compile_pattern(pattern).is_fast(text)
    return max(cost, 8 * len(text)) if slow else cost
