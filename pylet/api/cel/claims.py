"""What expressions of an AuthenticationConfiguration see: the claims of a token, and the user they stand for.

Source: apiserver pkg/authentication/cel/compile.go, pkg/apis/apiserver/validation (hasSelectExp).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pylet.api.cel.environment import BOOL, USER_INFO, Environment, Unfit, compile
from pylet.api.cel.program import Program
from pylet.api.cel.syntax import Call, Comprehension, Ident, ListNode, Literal, MapNode, Node, Select
from pylet.api.cel.types import parse_type

_CLAIMS = Environment({"claims": parse_type("map(string, dyn)")})
_USER = Environment({"user": USER_INFO})


def compile_claims(expression: str, *, is_rule: bool = False) -> Program:
    """`is_rule`: it has to be true or false. Raises: Unfit."""
    return _compiled(expression, _CLAIMS, is_rule=is_rule)


def compile_user_rule(expression: str) -> Program:
    """Raises: Unfit."""
    return _compiled(expression, _USER, is_rule=True)


def _compiled(expression: str, environment: Environment, *, is_rule: bool) -> Program:
    program = compile(expression, environment)
    if is_rule and program.type != BOOL:
        raise Unfit("must evaluate to bool")
    return program


def looks_at(program: Program, claim: str) -> bool:
    """Whether it names `claims.<claim>`, however that is written but in brackets."""
    return any(_is_of(node, claim) for node in _nodes(program.root))


def _is_of(node: Node, claim: str) -> bool:
    match node:
        case Select(operand=Ident(name="claims"), field=found):
            return found == claim
        case Call(function="_?._", args=[Ident(name="claims"), Literal(value=found)]):
            return bool(found == claim)
    return False


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for inner in _inside(node):
        yield from _nodes(inner)


def _inside(node: Any) -> list[Node]:
    match node:
        case Select():
            return [node.operand]
        case Call():
            return node.operands
        case ListNode():
            return node.elements
        case MapNode():
            return [part for entry in node.entries for part in (entry.key, entry.value)]
        case Comprehension():
            return [node.range, node.init, node.condition, node.step, node.result]
    return []
