"""The static types of an expression: every node gets its type, every call the overloads that can take it.

Upstream's is checker/checker.go of cel-go; the messages are those of checker/errors.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.errors import CompileError, EvaluationError, Issue
from pylet.api.cel.functions import Functions, Overload
from pylet.api.cel.re2 import compile_pattern
from pylet.api.cel.standard import type_constants
from pylet.api.cel.syntax import (
    Call,
    Comprehension,
    Ident,
    ListNode,
    Literal,
    MapNode,
    Node,
    Select,
    StructNode,
)
from pylet.api.cel.types import Type
from pylet.api.cel.values import SECOND, parse_duration, parse_timestamp, to_timestamp, type_of

CONSTANTS = type_constants()


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression can name: variables, functions, and the object types it can construct."""

    variables: Mapping[str, Type]
    functions: Functions
    structs: Mapping[str, Type] = field(default_factory=dict)


def check(source: str, root: Node, scope: Scope) -> frozenset[str]:
    """Annotate the tree; answers with the variables it refers to. Raises: CompileError."""
    checker = _Checker(scope)
    checker.check(root)
    if checker.issues:
        raise CompileError(source, checker.issues)
    for node in checker.nodes:
        assert node.type is not None
        node.type = t.substitute(node.type, checker.bindings, free_to_dyn=True)
    checker.validate_aggregates()
    if checker.invalid:
        raise CompileError(source, checker.invalid)
    return frozenset(checker.used)


class _Checker:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.bindings: dict[str, Type] = {}
        self.locals: list[tuple[str, Type]] = []
        self.issues: list[Issue] = []
        self.invalid: list[Issue] = []  # told when there are no issues
        self.aggregates: list[tuple[list[tuple[Node, bool]], bool]] = []  # items, keys or values to be of one type
        self.formatting = 0
        self.nodes: list[Node] = []
        self.used: set[str] = set()
        self.fresh = 0

    def report(self, pos: int, message: str) -> Type:
        issue = Issue(pos, message)
        if issue not in self.issues:
            self.issues.append(issue)
        return t.ERROR

    def variable(self) -> Type:
        self.fresh += 1
        return Type("param", (), f"%{self.fresh}")

    def resolved(self, kind: Type) -> Type:
        return t.substitute(kind, self.bindings)

    def show(self, kind: Type) -> str:
        return str(t.substitute(kind, self.bindings, free_to_dyn=True))

    def fits(self, actual: Type, wanted: Type) -> bool:
        grown = t.assignable(self.bindings, actual, wanted)
        if grown is None:
            return False
        self.bindings = grown
        return True

    def check(self, node: Node) -> Type:
        kind = _CHECKS[type(node)](self, node)
        node.type = kind
        self.nodes.append(node)
        return kind

    def literal(self, node: Literal) -> Type:
        return type_of(node.value)

    def lookup(self, name: str) -> Type | None:
        if not name.startswith("."):
            for local, kind in reversed(self.locals):
                if local == name:
                    return kind
        name = name.lstrip(".")
        declared = self.scope.variables.get(name)
        if declared is not None:
            self.used.add(name)
            return declared
        constant = CONSTANTS.get(name)
        return Type("type", (constant,)) if constant else None

    def ident(self, node: Ident) -> Type:
        kind = self.lookup(node.name)
        if kind is None:
            return self.report(node.pos, f"undeclared reference to '{node.name.lstrip('.')}' (in container '')")
        return kind

    def select(self, node: Select) -> Type:
        qualified = None if node.test_only else _dotted(node)
        if qualified and not self.is_local(qualified) and (kind := self.lookup(qualified)):
            node.qualified = qualified.lstrip(".")
            return kind
        operand = self.resolved(self.check(node.operand))
        wrapped = operand.name == "optional_type"
        kind = self.field(node.pos, operand.params[0] if wrapped else operand, node.field)
        if node.test_only:
            return t.BOOL
        return _as_optional(kind) if wrapped else kind

    def is_local(self, qualified: str) -> bool:
        head = qualified.partition(".")[0]
        return any(local == head for local, _ in self.locals)

    def field(self, pos: int, operand: Type, name: str) -> Type:
        if operand.kind == "map":
            return operand.params[1]
        if operand.kind == "object" and operand.declaration is not None:
            found = operand.declaration.find(name)
            return found[1] if found else self.report(pos, f"undefined field '{name}'")
        if operand.kind in ("dyn", "error", "param"):
            if operand.kind == "param":
                self.fits(operand, t.DYN)
            return t.DYN
        if operand.name.startswith("kubernetes."):  # declared as objects that nobody knows
            return self.report(pos, f"unexpected failed resolution of '{operand.name}'")
        return self.report(pos, f"type '{self.show(operand)}' does not support field selection")

    def call(self, node: Call) -> Type:
        if node.function == "_?._":
            operand = self.resolved(self.check(node.args[0]))
            name = node.args[1]
            self.check(name)
            assert isinstance(name, Literal)
            inner = operand.params[0] if operand.name == "optional_type" else operand
            return _as_optional(self.field(node.pos, inner, str(name.value)))
        self.qualify(node)
        self.formatting += node.function == "format"
        for operand_node in node.operands:
            self.check(operand_node)
        self.formatting -= node.function == "format"
        overloads = self.scope.functions.get(node.function)
        if overloads is None:
            return self.report(node.pos, f"undeclared reference to '{node.function}' (in container '')")
        kinds = [self.resolved(operand.type or t.ERROR) for operand in node.operands]
        self.validate_literal(node)
        return self.resolve(node, overloads, kinds)

    def qualify(self, node: Call) -> None:
        """`optional.of(x)` is no method of a variable `optional`, but a function of that name."""
        prefix = _dotted(node.target) if node.target is not None else None
        if prefix and not self.is_local(prefix):
            name = f"{prefix.lstrip('.')}.{node.function}"
            if name in self.scope.functions:
                node.function, node.target = name, None
        elif node.target is None:
            node.function = node.function.lstrip(".")

    def resolve(self, node: Call, overloads: list[Overload], kinds: list[Type]) -> Type:
        found: list[Overload] = []
        result: Type | None = None
        member = node.target is not None
        for overload in overloads:
            if overload.member != member or len(overload.params) != len(kinds):
                continue
            self.fresh += 1
            grown = self.bindings
            for kind, param in zip(kinds, overload.params, strict=True):
                step = t.assignable(grown, kind, _renamed(param, self.fresh))
                if step is None:
                    break
                grown = step
            else:
                answer = t.substitute(_renamed(overload.result, self.fresh), grown)
                self.bindings = grown
                if result is None:
                    result = answer
                elif result != answer:
                    result = t.DYN
                found.append(overload)
        if result is None:
            if any(kind.kind == "error" for kind in kinds):
                return t.ERROR
            shown = [self.show(kind) for kind in kinds]
            receiver = f"{shown.pop(0)}." if member else ""
            signature = f"{receiver}({', '.join(shown)})"
            return self.report(node.pos, f"found no matching overload for '{node.function}' applied to '{signature}'")
        node.overloads = found
        return result

    def validate_literal(self, node: Call) -> None:
        """What cel-go's AST validators refuse: a duration, timestamp or pattern that is written out and wrong."""
        parse = _LITERALS.get(node.function)
        argument = node.args[-1] if node.args else None
        if parse and isinstance(argument, Literal):
            try:
                if type(argument.value) is str:
                    parse(argument.value)
                elif node.function == "timestamp" and type(argument.value) is int:
                    to_timestamp(argument.value * SECOND)
            except (ValueError, EvaluationError):
                self.invalid.append(Issue(argument.pos, f"invalid {node.function} argument"))

    def validate_aggregates(self) -> None:
        """Kubernetes wants the items of a written list or map alike, but for what `format` is given."""
        for nodes, is_map in self.aggregates:
            first: Type | None = None
            for node, is_optional in nodes:
                kind = node.type or t.DYN
                if is_optional and kind.params:
                    kind = kind.params[0]
                first = first or kind
                if kind != first:
                    self.invalid.append(Issue(node.pos, f"expected type '{first}' but found '{kind}'"))
                    if not is_map:
                        break

    def list(self, node: ListNode) -> Type:
        item: Type | None = None
        for at, element in enumerate(node.elements):
            kind = self.check(element)
            if at in node.optional:
                kind = self.optional_item(element, kind)
            item = self.join(item, kind)
        if not self.formatting:
            items = [(element, at in node.optional) for at, element in enumerate(node.elements)]
            self.aggregates.append((items, False))
        return t.list_of(item or self.variable())

    def map(self, node: MapNode) -> Type:
        key: Type | None = None
        value: Type | None = None
        for entry in node.entries:
            key = self.join(key, self.check(entry.key))
            kind = self.check(entry.value)
            if entry.optional:
                kind = self.optional_item(entry.value, kind)
            value = self.join(value, kind)
        if not self.formatting:
            self.aggregates.append(([(entry.key, False) for entry in node.entries], True))
            self.aggregates.append(([(entry.value, entry.optional) for entry in node.entries], True))
        return t.map_of(key or self.variable(), value or self.variable())

    def optional_item(self, node: Node, kind: Type) -> Type:
        kind = self.resolved(kind)
        if kind.name == "optional_type":
            return kind.params[0]
        if kind.kind not in ("dyn", "error"):
            self.report(node.pos, f"expected type 'optional_type({self.show(kind)})' but found '{self.show(kind)}'")
        return kind

    def join(self, before: Type | None, kind: Type) -> Type:
        if before is None:
            return kind
        if self.fits(kind, before):
            return t.most_general(self.resolved(before), self.resolved(kind))
        return t.DYN

    def struct(self, node: StructNode) -> Type:
        kind = self.scope.structs.get(node.name.lstrip("."))
        if kind is None or kind.declaration is None:
            return self.report(node.pos, f"undeclared reference to '{node.name.lstrip('.')}' (in container '')")
        for one in node.fields:
            value = self.check(one.value)
            if one.optional:
                value = self.optional_item(one.value, value)
            declared = kind.declaration.find(one.name)
            if declared is None:
                self.report(one.pos, f"undefined field '{one.name}'")
            elif not self.fits(value, declared[1]):
                self.report(
                    one.pos,
                    f"expected type of field '{one.name}' is '{self.show(declared[1])}' "
                    f"but provided type is '{self.show(value)}'",
                )
        return kind

    def comprehension(self, node: Comprehension) -> Type:
        iterated = self.resolved(self.check(node.range))
        accu = self.check(node.init)
        first, second = self.items(node, iterated)
        self.locals.append((node.accu, accu))
        self.locals.append((node.var, first))
        if node.var2 is not None:
            self.locals.append((node.var2, second))
        condition = self.check(node.condition)
        if not self.fits(condition, t.BOOL):
            self.report(node.condition.pos, f"expected type 'bool' but found '{self.show(condition)}'")
        step = self.check(node.step)
        if not self.fits(step, accu):
            self.report(node.step.pos, f"expected type '{self.show(accu)}' but found '{self.show(step)}'")
        del self.locals[-2 if node.var2 is None else -3 :]
        self.locals.append((node.accu, accu))
        result = self.check(node.result)
        self.locals.pop()
        return result

    def items(self, node: Comprehension, iterated: Type) -> tuple[Type, Type]:
        """The types of the loop's variables."""
        if iterated.kind == "list":
            item = iterated.params[0]
            return (t.INT, item) if node.var2 is not None else (item, t.ERROR)
        if iterated.kind == "map":
            return iterated.params[0], iterated.params[1]
        if iterated.kind in ("dyn", "error", "param"):
            if iterated.kind == "param":
                self.fits(iterated, t.DYN)
            return t.DYN, t.DYN
        message = (
            f"expression of type '{self.show(iterated)}' cannot be range of a comprehension "
            "(must be list, map, or dynamic)"
        )
        return self.report(node.range.pos, message), t.ERROR


def _renamed(kind: Type, number: int) -> Type:
    """The type with its own parameters: each call of a function binds them anew."""
    if kind.kind == "param":
        return Type("param", (), f"{kind.name}{number}")
    if not kind.params:
        return kind
    return Type(kind.kind, tuple(_renamed(param, number) for param in kind.params), kind.name, kind.declaration)


def _as_optional(kind: Type) -> Type:
    return t.optional_of(t.DYN if kind.kind == "error" else kind)


def _dotted(node: Node | None) -> str | None:
    """`a.b.c` when the node is nothing but that."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test_only:
        prefix = _dotted(node.operand)
        return f"{prefix}.{node.field}" if prefix else None
    return None


_LITERALS: dict[str, Callable[[str], Any]] = {
    "duration": parse_duration,
    "timestamp": parse_timestamp,
    "matches": compile_pattern,
}
_CHECKS: dict[type[Node], Callable[[_Checker, Any], Type]] = {
    Literal: _Checker.literal,
    Ident: _Checker.ident,
    Select: _Checker.select,
    Call: _Checker.call,
    ListNode: _Checker.list,
    MapNode: _Checker.map,
    StructNode: _Checker.struct,
    Comprehension: _Checker.comprehension,
}
