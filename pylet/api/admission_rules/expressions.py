"""Whether the expressions of webhooks and policies compile, and to what they should.

Source: pkg/apis/admissionregistration/validation (validateCELCondition and its like).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pylet.api import causes
from pylet.api.errors import Cause

if TYPE_CHECKING:
    from pylet.api.cel.environment import Environment
    from pylet.api.cel.types import Type

BOOL, STRING, STRING_OR_NULL, OBJECT, PATCHES = "bool", "string", "string or null", "object", "patches"


class Compiler:
    """Compiles the expressions of one object; CEL is loaded for the first. `params`: they may name parameters."""

    def __init__(self, *, params: bool = False, variables: bool = False) -> None:
        self._params = params
        self._variables: dict[str, Type] | None = {} if variables else None

    def variable(self, name: str, expression: str, where: str) -> list[Cause]:
        """Also make it known to what is compiled later."""
        from pylet.api.cel import types as t
        from pylet.api.cel.environment import Unfit, compile

        assert self._variables is not None
        kind = t.DYN
        found: list[Cause] = []
        try:
            kind = compile(expression, self._environment()).type
        except Unfit as unfit:
            found.append(causes.invalid(where, expression, str(unfit)))
        self._variables = {**self._variables, name: kind}
        return found

    def check(
        self, expression: str, where: str, expect: str, *, written: str = "", authorizer: bool = True
    ) -> list[Cause]:
        """`written` is the expression as refusals quote it, if that is another."""
        from pylet.api.cel.environment import Unfit, compile

        environment = self._environment(authorizer=authorizer, patches=expect in (OBJECT, PATCHES))
        try:
            compile(expression, environment, _types()[expect])
        except Unfit as unfit:
            return [causes.invalid(where, written or expression, str(unfit))]
        return []

    def _environment(self, *, authorizer: bool = True, patches: bool = False) -> Environment:
        from pylet.api.cel.environment import admission

        environment = admission(params=self._params, authorizer=authorizer, patches=patches)
        return environment if self._variables is None else environment.with_variables(self._variables)


def _types() -> Mapping[str, Iterable[Type]]:
    from pylet.api.cel import environment
    from pylet.api.cel import types as t

    return {
        BOOL: (t.BOOL,),
        STRING: (t.STRING,),
        STRING_OR_NULL: (t.STRING, t.NULL),
        OBJECT: (environment.OBJECT,),
        PATCHES: (t.list_of(environment.JSON_PATCH),),
    }
