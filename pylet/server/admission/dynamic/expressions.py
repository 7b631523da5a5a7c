"""Expressions of webhooks and policies, compiled; what does not compile says so whenever it is asked.

Source: apiserver pkg/admission/plugin/cel/{compile,condition,activation,composition}.go, webhook/matchconditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pylet.api.cel import types as t
from pylet.api.cel.environment import Environment, Unfit, Variables, compile
from pylet.api.cel.errors import CostExceeded, EvaluationError
from pylet.api.cel.library.authorizer import Unanswered
from pylet.api.cel.program import MATCH_CONDITIONS_BUDGET, Budget, OutOfBudget, Program
from pylet.api.errors import aggregated
from pylet.api.object import Object
from pylet.server.patient import patient

T = TypeVar("T")


async def evaluated(evaluate: Callable[[], T]) -> T:
    """What `evaluate` comes to; it begins again after each question that somebody elsewhere has to answer."""
    while True:
        try:
            return await patient(0, evaluate)
        except Unanswered as needed:
            await needed.answer()


class Failed(Exception):
    """The expression has no value; the message says why, as upstream does."""


class Spent(Exception):
    """The expressions have cost more than they may, together."""


class Expression:
    """One expression: its program, or why it has none."""

    __slots__ = ("error", "program", "source")

    def __init__(self, source: str, environment: Environment, expect: Iterable[t.Type] = ()) -> None:
        self.source = source
        self.program: Program | None = None
        self.error = ""
        try:
            self.program = compile(source, environment, expect)
        except Unfit as unfit:
            self.error = str(unfit)

    def value(self, bindings: Mapping[str, Any], budget: Budget) -> Any:
        """Raises: Failed, Spent."""
        if self.program is None:
            raise Failed(f"compilation error: {self.error}")
        try:
            return self.program.evaluate(bindings, budget)
        except OutOfBudget as spent:
            says = "validation failed due to running out of cost budget, no further validation rules will be run"
            raise Spent(says) from spent
        except (EvaluationError, CostExceeded) as bad:
            raise Failed(f"expression '{self.source}' resulted in error: {bad}") from bad


class _Broken:
    """Stands for the program of a variable that does not compile."""

    def __init__(self, name: str, error: str) -> None:
        self._says = f'composited variable "{name}" fails to compile: {error}'

    def evaluate(self, bindings: Mapping[str, Any], budget: Budget) -> Any:
        raise EvaluationError(self._says)


class Composed:
    """A policy's variables: each sees those before it, and is evaluated when it is first asked for."""

    def __init__(self, variables: Iterable[Object], environment: Environment) -> None:
        self._programs: dict[str, Any] = {}
        kinds: dict[str, t.Type] = {}
        for variable in variables:
            name = variable["name"]
            found = Expression(variable["expression"], environment.with_variables(kinds))
            self._programs[name] = found.program or _Broken(name, found.error)
            kinds[name] = found.program.type if found.program is not None else t.DYN
        self._kinds = kinds

    def environment(self, environment: Environment) -> Environment:
        return environment.with_variables(self._kinds)

    def bind(self, bindings: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
        return {**bindings, "variables": Variables(self._programs, bindings, budget)}


class Conditions:
    """Match conditions: all of them have to hold."""

    def __init__(
        self, conditions: Iterable[Object], environment: Environment, composed: Composed | None = None
    ) -> None:
        self._composed = composed
        if composed is not None:
            environment = composed.environment(environment)
        self._expressions = [Expression(one["expression"], environment, (t.BOOL,)) for one in conditions]

    def hold(self, bindings: Mapping[str, Any]) -> bool:
        """False when one of them does not hold, whatever is wrong with the others. Raises: Failed."""
        budget = Budget(MATCH_CONDITIONS_BUDGET)
        if self._composed is not None:
            bindings = self._composed.bind(bindings, budget)
        problems: list[str] = []
        for expression in self._expressions:
            try:
                if expression.value(bindings, budget) is False:
                    return False
            except Spent as spent:
                raise Failed(str(spent)) from spent
            except Failed as failed:
                problems.append(str(failed))
        if problems:
            raise Failed(aggregated(problems))
        return True
