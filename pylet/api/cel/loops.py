"""Comprehensions as loops: closures for `compiler`, made of the closures of their parts.

The counts are those of cel-go's interpreter/runtimecost.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pylet.api.cel.errors import CostExceeded, EvaluationError
from pylet.api.cel.frame import FAILURES, Closure, Costed, Frame, charge, not_bool
from pylet.api.cel.functions import Overload, dispatcher
from pylet.api.cel.values import type_name

Assign = Callable[[Frame, Any], Iterable[None]]


def _not_iterable(value: Any) -> EvaluationError:
    return EvaluationError(f"got 'types.{_GO_TYPES.get(type_name(value), 'Unknown')}', expected iterable type")


_GO_TYPES = {"bool": "Bool", "double": "Double", "int": "Int", "null_type": "Null", "string": "String", "uint": "Uint"}


def assigning(first: int, second: int | None) -> Assign:
    """Put each round's variables into the frame; `first` and `second` are their places."""
    value_place = first if second is None else second

    def single(frame: Frame, container: Any) -> Iterable[None]:
        if not isinstance(container, (list, dict)):
            raise _not_iterable(container)
        for item in container:
            frame[first] = item
            yield

    def double(frame: Frame, container: Any) -> Iterable[None]:
        if not isinstance(container, (list, dict)):
            raise _not_iterable(container)
        pairs: Iterable[tuple[Any, Any]] = enumerate(container) if isinstance(container, list) else container.items()
        for key, value in pairs:
            frame[first] = key
            frame[value_place] = value
            yield

    return single if second is None else double


def quantifier(iterated: Closure, assign: Assign, predicate: Costed, condition_cost: int, *, stop: bool) -> Closure:
    """`exists` stops at the first True, `all` at the first False; an error waits for either."""
    holds, cost = predicate
    cost += condition_cost + 1

    def loop(frame: Frame) -> Any:
        failure: Exception | None = None
        container = iterated(frame)
        rounds = 0
        for _ in assign(frame, container):
            rounds += 1
            left = frame[0] - cost
            frame[0] = left
            if left < 0:
                raise CostExceeded
            try:
                value = holds(frame)
            except FAILURES as error:
                failure = error
                continue
            if value is stop:
                if rounds < len(container):  # the next round's condition is asked, too
                    charge(frame, condition_cost)
                return stop
            if value is not (not stop):
                failure = not_bool()
        if failure is not None:
            raise failure
        return not stop

    return loop


def one(iterated: Closure, assign: Assign, predicate: Costed) -> Closure:
    holds, cost = predicate

    def loop(frame: Frame) -> bool:
        count = 0
        for _ in assign(frame, iterated(frame)):
            value = holds(frame)
            if value is True:
                count += 1
            elif value is not False:
                raise not_bool()
            charge(frame, cost + 2 * value)
        return count == 1

    return loop


def collect(iterated: Closure, assign: Assign, keep: Costed | None, item: Costed) -> Closure:
    """`accu + [item]` for each round, kept or not: done by appending to a list nobody else has yet."""
    item_of, cost = item
    cost += 12

    def loop(frame: Frame) -> list[Any]:
        items: list[Any] = []
        for _ in assign(frame, iterated(frame)):
            if _is_kept(frame, keep):
                charge(frame, cost)
                items.append(item_of(frame))
        return items

    return loop


def insert(
    iterated: Closure,
    assign: Assign,
    keep: Costed | None,
    args: list[Costed],
    function: str,
    overloads: list[Overload],
) -> Closure:
    """`function(accu, *args)` for each round: it puts an entry into a map nobody else has yet."""
    cost = sum(part[1] for part in args) + 2
    closures = [part[0] for part in args]
    choose = dispatcher(function, overloads)

    def loop(frame: Frame) -> dict[Any, Any]:
        entries: dict[Any, Any] = {}
        for _ in assign(frame, iterated(frame)):
            if _is_kept(frame, keep):
                charge(frame, cost)
                values = [arg(frame) for arg in closures]
                choose(entries, *values).run(entries, *values)
        return entries

    return loop


def _is_kept(frame: Frame, keep: Costed | None) -> bool:
    if keep is None:
        return True
    holds, cost = keep
    charge(frame, cost)
    value = holds(frame)
    if value is not True and value is not False:
        raise not_bool()
    return bool(value)
