"""CEL expressions that choose devices; CEL is loaded with the first of them.

Source: upstream `dynamic-resource-allocation/cel/compile.go`.
"""

from __future__ import annotations

from functools import lru_cache

from pylet.api.cel.environment import BOOL, DYN, Unfit, compile, device_selector
from pylet.api.cel.program import Program

_PROGRAMS = 64


@lru_cache(_PROGRAMS)
def compiled(expression: str) -> Program:
    """Raises: Unfit."""
    program = compile(expression, device_selector())
    if program.type not in (BOOL, DYN):
        raise Unfit(f"must evaluate to bool or the unknown type, not {program.type}")
    return program
