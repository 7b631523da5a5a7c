"""The tree of an expression: what the parser builds, the checker annotates, and the compiler reads.

`pos` is the offset upstream reports errors at: an operator's sign, a call's parenthesis, a selection's dot.
`type` and `overloads` are None and empty until the checker has seen the node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pylet.api.cel.functions import Overload
    from pylet.api.cel.types import Type


@dataclass(slots=True, eq=False)
class Node:
    pos: int
    type: Type | None = field(default=None, init=False)


@dataclass(slots=True, eq=False)
class Literal(Node):
    value: Any


@dataclass(slots=True, eq=False)
class Ident(Node):
    name: str


@dataclass(slots=True, eq=False)
class Select(Node):
    operand: Node
    field: str
    test_only: bool = False
    qualified: str | None = None  # set by the checker when the whole chain names one variable, as `variables.x` does


@dataclass(slots=True, eq=False)
class Call(Node):
    function: str
    args: list[Node]
    target: Node | None = None
    overloads: list[Overload] = field(default_factory=list, init=False)

    @property
    def operands(self) -> list[Node]:
        return self.args if self.target is None else [self.target, *self.args]


@dataclass(slots=True, eq=False)
class ListNode(Node):
    elements: list[Node]
    optional: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class Entry:
    pos: int
    key: Node
    value: Node
    optional: bool


@dataclass(slots=True, eq=False)
class MapNode(Node):
    entries: list[Entry]


@dataclass(slots=True, eq=False)
class FieldNode:
    pos: int
    name: str
    value: Node
    optional: bool


@dataclass(slots=True, eq=False)
class StructNode(Node):
    name: str
    fields: list[FieldNode]


@dataclass(slots=True, eq=False)
class Comprehension(Node):
    """A fold, as every macro expands to one; `macro` names its shape so that the compiler can pick a direct loop."""

    macro: str
    range: Node
    var: str
    var2: str | None
    accu: str
    init: Node
    condition: Node
    step: Node
    result: Node


ACCU = "@result"
