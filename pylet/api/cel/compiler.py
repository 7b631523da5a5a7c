"""A checked tree → one closure: from a frame to a value.

The counts of cost are those of cel-go's interpreter/runtimecost.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pylet.api.cel import calls, literals, logic, loops, members
from pylet.api.cel import types as t
from pylet.api.cel.checker import CONSTANTS
from pylet.api.cel.errors import CostExceeded, EvaluationError
from pylet.api.cel.frame import FAILURES, UNSET, Closure, Costed, Frame, charge, charged
from pylet.api.cel.library.optional import optional_index
from pylet.api.cel.re2 import compile_pattern
from pylet.api.cel.standard import contains, index, index_list, index_map
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
from pylet.api.cel.values import NONE, Optional, UInt


def compile_tree(root: Node, variables: dict[str, int]) -> tuple[Closure, int, int]:
    """The closure, what it always costs, and how long its frame is; `variables` gives each name its place."""
    compiler = _Compiler(variables)
    closure, cost = compiler.compile(root)
    return closure, cost, compiler.size


class _Compiler:
    def __init__(self, variables: dict[str, int]) -> None:
        self.places = dict(variables)
        self.size = len(variables) + 1
        self.folded: dict[int, tuple[Any] | None] = {}

    def compile(self, node: Node) -> Costed:
        constant = self.fold(node)
        if constant is not None:
            value = constant[0]
            return lambda frame: value, 0
        if isinstance(node, Call):
            return _SPECIAL.get(node.function, _Compiler.call)(self, node)
        return _COMPILERS[type(node)](self, node)

    def fold(self, node: Node) -> tuple[Any] | None:
        """The value of what is constant; it costs nothing, as with cel-go's OptOptimize."""
        if id(node) not in self.folded:
            self.folded[id(node)] = self.constant(node)
        return self.folded[id(node)]

    def constant(self, node: Node) -> tuple[Any] | None:
        match node:
            case Literal(value=value):
                return (value,)
            case Ident(name=name) if name.lstrip(".") not in self.places:
                return (CONSTANTS[name.lstrip(".")],)
            case Select(qualified=str(name)) if name not in self.places:
                return (CONSTANTS[name],)
            case ListNode(elements=elements, optional=optional) if not optional:
                items = [self.fold(element) for element in elements]
                return None if None in items else ([item[0] for item in items if item],)
            case MapNode(entries=entries) if not any(entry.optional for entry in entries):
                if any(self.fold(entry.key) is None or self.fold(entry.value) is None for entry in entries):
                    return None
            case Call(function=name, args=[arg], target=None) if name in _CONVERSIONS and self.fold(arg) is not None:
                pass
            case _:
                return None
        try:
            return (_COMPILERS[type(node)](self, node)[0]([CONSTANT_LIMIT]),)
        except (*FAILURES, CostExceeded):
            return None  # it fails when it is evaluated

    def literal(self, node: Literal) -> Costed:
        value = node.value
        return lambda frame: value, 0

    def ident(self, node: Ident) -> Costed:
        return self.named(node.name)

    def named(self, name: str) -> Costed:
        place = self.places[name.lstrip(".")]

        def variable(frame: Frame) -> Any:
            value = frame[place]
            if value is UNSET:
                raise EvaluationError(f"no such attribute(s): {name}")
            return value

        return variable, 1

    def select(self, node: Select) -> Costed:
        if node.qualified is not None:
            return self.named(node.qualified)
        operand, cost = self.compile(node.operand)
        cost += self.detour(node.operand)
        kind = node.operand.type or t.DYN
        names = members.keys(kind, node.field)
        if node.test_only:
            return members.has(operand, names, is_object=kind.kind == "object"), cost
        if kind.name == "optional_type":
            return lambda frame: members.select_optional(operand(frame), names), cost + 1
        if len(names) > 1:
            return lambda frame: members.select(operand(frame), names), cost + 1
        key = names[0]
        if kind.kind == "object":
            return members.field(operand, key), cost + 1

        def select(frame: Frame) -> Any:
            container = operand(frame)
            try:
                return container[key]
            except (KeyError, TypeError) as missing:
                raise members.unfit(container, key) from missing

        return select, cost + 1

    def call(self, node: Call) -> Costed:
        if node.function in ("find", "findAll") and isinstance(node.args[0], Literal):
            compile_pattern(node.args[0].value)  # a bad one is refused now, not at every evaluation
        args: list[Closure] = []
        cost = 0
        for operand in node.operands:  # no comprehension: a chain of 250 operators is compiled on one stack
            run, part = self.compile(operand)
            args.append(run)
            cost += part
        if len(node.overloads) == 1 and calls.is_settled(node):
            overload = node.overloads[0]
            if overload.cost is None:
                return calls.plain(overload, args), cost + 1
            return calls.weighed(overload, args), cost
        return calls.dispatched(node, args), cost

    def conjunction(self, node: Call) -> Costed:
        return self.junction(node, settled_by=False)

    def disjunction(self, node: Call) -> Costed:
        return self.junction(node, settled_by=True)

    def junction(self, node: Call, *, settled_by: bool) -> Costed:
        left, cost = self.compile(node.args[0])
        return logic.junction(left, charged(self.compile(node.args[1])), settled_by=settled_by), cost

    def conditional(self, node: Call) -> Costed:
        condition, cost = self.compile(node.args[0])
        return logic.choice(condition, self.arm(node.args[1]), self.arm(node.args[2])), cost

    def arm(self, node: Node) -> Closure:
        """A side of `?:`; cel-go does not count the variable an attribute there begins with."""
        run, cost = self.compile(node)
        starts = self.is_attribute(node) and not (isinstance(node, Call) and node.function == "_?_:_")
        return charged((run, cost - 1 if starts else cost))

    def detour(self, operand: Node) -> int:
        """cel-go counts one more where something is taken of a value that is no variable's part."""
        return 0 if self.is_attribute(operand) else 1

    def is_attribute(self, node: Node) -> bool:
        match node:
            case Ident():
                return self.fold(node) is None
            case Select(test_only=False, operand=operand, qualified=qualified):
                return self.fold(node) is None if qualified else self.is_attribute(operand)
            case Call(function="_[_]" | "_?._" | "_[?_]", args=[container, _]):
                return self.is_attribute(container)
            case Call(function="_?_:_"):
                return True
        return False

    def negation(self, node: Call) -> Costed:
        operand, cost = self.compile(node.args[0])
        return logic.negation(operand), cost + 1

    def optional_select(self, node: Call) -> Costed:
        operand, cost = self.compile(node.args[0])
        name = node.args[1]
        assert isinstance(name, Literal)
        kind = node.args[0].type or t.DYN
        names = members.keys(kind, str(name.value))
        inner = kind.params[0] if kind.name == "optional_type" else kind
        is_object = inner.kind == "object"

        def select(frame: Frame) -> Optional:
            found = members.select_optional(operand(frame), names)
            if not found.present or (is_object and found.value is None):
                return NONE
            charge(frame, 1)
            return found

        return select, cost + self.detour(node.args[0])

    def optional_index(self, node: Call) -> Costed:
        container, cost = self.compile(node.args[0])
        key, key_cost = self.compile(node.args[1])
        if self.is_attribute(node.args[1]):
            key_cost -= 1

        def index(frame: Frame) -> Optional:
            found = optional_index(container(frame), key(frame))
            if found.present:
                charge(frame, 1)
            return found

        return index, cost + key_cost + self.detour(node.args[0])

    def index(self, node: Call) -> Costed:
        container, cost = self.compile(node.args[0])
        key, key_cost = self.compile(node.args[1])
        through = all(overload.params[0].name == "optional_type" for overload in node.overloads)
        run = optional_index if through else _INDEXES.get((node.args[0].type or t.DYN).kind, index)
        if self.is_attribute(node.args[1]):
            key_cost -= 1
        return lambda frame: run(container(frame), key(frame)), cost + key_cost + 1 + self.detour(node.args[0])

    def membership(self, node: Call) -> Costed:
        """`in`; a written list of primitive values is looked up and costs nothing, as with cel-go's OptOptimize."""
        constant = self.fold(node.args[1])
        if constant is not None and type(constant[0]) is list:
            items = constant[0]
            if all(type(item) in _PRIMITIVE for item in items) and len(set(map(type, items))) <= 1:
                item, cost = self.compile(node.args[0])
                return lambda frame: contains(item(frame), items), cost
        return self.call(node)

    def lazy_or(self, node: Call) -> Costed:
        """`or` and `orValue` do not evaluate what they do not need."""
        if node.target is None:
            raise AssertionError(node.function)
        target, cost = self.compile(node.target)
        other = charged(self.compile(node.args[0]))
        bare = node.function == "orValue"

        def choose(frame: Frame) -> Any:
            value = target(frame)
            if type(value) is not Optional:
                raise EvaluationError("no such overload")
            if not value.present:
                return other(frame)
            return value.value if bare else value

        return choose, cost

    def list(self, node: ListNode) -> Costed:
        parts = [self.compile(element) for element in node.elements]
        return literals.a_list([part[0] for part in parts], node.optional), 10 + sum(part[1] for part in parts)

    def map(self, node: MapNode) -> Costed:
        parts = [(self.compile(entry.key), self.compile(entry.value), entry.optional) for entry in node.entries]
        closures = [(key[0], value[0], optional) for key, value, optional in parts]
        return literals.a_map(closures), 30 + sum(key[1] + value[1] for key, value, _ in parts)

    def struct(self, node: StructNode) -> Costed:
        kind = node.type or t.DYN
        assert kind.declaration is not None
        parts = [(self.compile(one.value), one) for one in node.fields]
        closures = [(members.keys(kind, one.name)[0], run[0], one.optional) for run, one in parts]
        return literals.a_struct(kind.name, closures), 40 + sum(part[0][1] for part in parts)

    def comprehension(self, node: Comprehension) -> Costed:
        iterated, cost = self.compile(node.range)
        init, init_cost = self.compile(node.init)
        before = dict(self.places)
        accu = self.place(node.accu)
        if node.macro == "bind":
            result, result_cost = self.compile(node.result)
            self.places = before

            def bind(frame: Frame) -> Any:
                frame[accu] = init(frame)
                return result(frame)

            return bind, cost + init_cost + result_cost
        first = self.place(node.var)
        second = self.place(node.var2) if node.var2 is not None else None
        result_cost = 2 if node.macro == "one" else 1
        loop = _LOOPS[node.macro](self, node, iterated, loops.assigning(first, second))
        self.places = before
        return loop, cost + init_cost + result_cost

    def place(self, name: str) -> int:
        place = self.size
        self.size += 1
        self.places[name] = place
        return place

    def quantifier(self, node: Comprehension, iterated: Closure, assign: loops.Assign, *, stop: bool) -> Closure:
        predicate = self.compile(_step(node).args[1])
        return loops.quantifier(iterated, assign, predicate, self.compile(node.condition)[1], stop=stop)

    def one(self, node: Comprehension, iterated: Closure, assign: loops.Assign) -> Closure:
        return loops.one(iterated, assign, self.compile(_step(node).args[0]))

    def collect(self, node: Comprehension, iterated: Closure, assign: loops.Assign) -> Closure:
        keep, step = self.kept(node)
        appended = step.args[1]
        assert isinstance(appended, ListNode)
        return loops.collect(iterated, assign, keep, self.compile(appended.elements[0]))

    def insert(self, node: Comprehension, iterated: Closure, assign: loops.Assign) -> Closure:
        keep, step = self.kept(node)
        args = [self.compile(arg) for arg in step.args[1:]]
        return loops.insert(iterated, assign, keep, args, step.function, step.overloads)

    def kept(self, node: Comprehension) -> tuple[Costed | None, Call]:
        """The condition of a round, and the step behind it."""
        step = _step(node)
        if step.function != "_?_:_":
            return None, step
        inner = step.args[1]
        assert isinstance(inner, Call)
        return self.compile(step.args[0]), inner


def _step(node: Comprehension) -> Call:
    assert isinstance(node.step, Call)
    return node.step


_INDEXES: dict[str, Callable[[Any, Any], Any]] = {"list": index_list, "map": index_map}
CONSTANT_LIMIT = 1 << 20
_CONVERSIONS = frozenset({"bool", "bytes", "double", "dyn", "duration", "int", "string", "timestamp", "type", "uint"})
_PRIMITIVE = frozenset({bool, float, int, str, UInt})


_SPECIAL: dict[str, Callable[[_Compiler, Call], Costed]] = {
    "_&&_": _Compiler.conjunction,
    "_||_": _Compiler.disjunction,
    "_?_:_": _Compiler.conditional,
    "!_": _Compiler.negation,
    "_?._": _Compiler.optional_select,
    "_[_]": _Compiler.index,
    "_[?_]": _Compiler.optional_index,
    "@in": _Compiler.membership,
    "or": _Compiler.lazy_or,
    "orValue": _Compiler.lazy_or,
}
_COMPILERS: dict[type[Node], Callable[[_Compiler, Any], Costed]] = {
    Literal: _Compiler.literal,
    Ident: _Compiler.ident,
    Select: _Compiler.select,
    Call: _Compiler.call,
    ListNode: _Compiler.list,
    MapNode: _Compiler.map,
    StructNode: _Compiler.struct,
    Comprehension: _Compiler.comprehension,
}
_LOOPS: dict[str, Callable[[_Compiler, Comprehension, Closure, loops.Assign], Closure]] = {
    "all": lambda compiler, *loop: compiler.quantifier(*loop, stop=False),
    "exists": lambda compiler, *loop: compiler.quantifier(*loop, stop=True),
    "one": _Compiler.one,
    "collect": _Compiler.collect,
    "insert": _Compiler.insert,
}
