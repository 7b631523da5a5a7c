"""How the tables run an expression."""

from __future__ import annotations

from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.checker import Scope
from pylet.api.cel.library import declared
from pylet.api.cel.program import Budget, Program


def value_of(source: str, budget: Budget | None = None, **variables: Any) -> Any:
    """The value; every variable is of type dyn."""
    scope = Scope(dict.fromkeys(variables, t.DYN), declared())
    return Program(source, scope).evaluate(variables, budget)
