"""How much an expression can cost at most, from the sizes its schema allows.

Source: checker/cost.go of cel-go and apiserver pkg/cel/library/cost.go. Which CRDs are accepted hangs on these numbers,
so they follow upstream's step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

from pylet.api.cel import types as t
from pylet.api.cel.cost.functions import ESTIMATES, of_size
from pylet.api.cel.cost.sizes import ANY, ONE, UNKNOWN, ZERO, Part, Path, Range, fixed
from pylet.api.cel.declared import MAX_REQUEST, Declared
from pylet.api.cel.syntax import (
    ACCU,
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


@dataclass(frozen=True, slots=True)
class _Entries:
    """The sizes of what a list or map holds."""

    kind: str
    key: Range
    value: Range


@dataclass(frozen=True, slots=True)
class _Local:
    path: Path
    size: Range | None
    entries: _Entries | None


def most_often(kind: Declared) -> int:
    """How many values of this type fit into one request."""
    return MAX_REQUEST // (kind.least + 1)


def estimate(root: Node, kind: Declared | None) -> Range:
    """The cost of a checked tree whose `self` is of the type `kind`."""
    return _Estimator(kind).cost(root)


class _Estimator:
    def __init__(self, kind: Declared | None) -> None:
        self.kind = kind
        self.paths: dict[int, Path] = {}
        self.sizes: dict[int, Range] = {}
        self.entries: dict[int, _Entries] = {}
        self.locals: dict[str, list[_Local]] = {}

    def cost(self, node: Node) -> Range:
        match node:
            case Ident():
                local = self.local(node)
                self.paths[id(node)] = local.path if local else (node.name,)
                return ONE
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case ListNode():
                return self.list_cost(node)
            case MapNode():
                return self.map(node)
            case StructNode():
                return sum((self.cost(one.value) for one in node.fields), fixed(40))
            case Comprehension(macro="bind"):
                return self.bind(node)
            case Comprehension():
                return self.comprehension(node)
        return ZERO

    def local(self, node: Node) -> _Local | None:
        stack = self.locals.get(node.name) if isinstance(node, Ident) else None
        return stack[-1] if stack else None

    def path(self, node: Node) -> Path:
        local = self.local(node)
        return local.path if local else self.paths.get(id(node), ())

    def push(self, name: str, local: _Local) -> None:
        self.locals.setdefault(name, []).append(local)

    def pop(self, name: str) -> None:
        self.locals[name].pop()

    # ---- sizes

    def declared_size(self, path: Path) -> Range | None:
        """What the schema says of the place: maxLength, maxItems, maxProperties.

        Whatever the path begins with stands for the root, also a loop's `@items` over no place: as upstream does it.
        """
        if not path:
            return None
        kind = self.kind
        for name in path[1:]:
            if kind is None:
                return None
            if name in ("@items", "@values"):
                kind = kind.item
            elif name == "@keys":
                kind = kind.key
            else:
                kind = kind.fields.get(name)
        return Range(0, kind.most) if kind is not None else None

    def size(self, node: Node) -> Range | None:
        known = self.sizes.get(id(node)) or _written_size(node)
        if known is not None:
            return known
        declared = self.declared_size(self.path(node))
        if declared is not None:
            self.sizes[id(node)] = declared
            return declared
        if _is_scalar(node.type or t.DYN):
            return ONE
        local = self.local(node)
        return local.size if local else None

    def size_or_any(self, node: Node) -> Range:
        return self.size(node) or ANY

    def entry_sizes(self, node: Node) -> _Entries | None:
        known = self.entries.get(id(node))
        if known is not None:
            return known
        local = self.local(node)
        return local.entries if local else None

    def part(self, node: Node) -> Part:
        path = self.path(node)
        return Part(node, node.type or t.DYN, () if path[:1] == (ACCU,) else path, self.size(node))

    def part_size(self, part: Part) -> Range:
        return part.size or self.declared_size(part.path) or ANY

    def item_of(self, part: Part) -> Part | None:
        """The items of a list, as a part."""
        if not part.type.params:
            return None
        return Part(None, part.type.params[0], (*part.path, "@items") if part.path else (), None)

    # ---- nodes

    def select(self, node: Select) -> Range:
        cost = self.cost(node.operand) if node.qualified is None else ONE
        if node.test_only:
            return cost
        kind = node.operand.type
        if kind is not None and kind.kind in ("map", "object", "param"):
            cost += ONE
        self.paths[id(node)] = (*self.path(node.operand), node.field)
        return cost

    def list_cost(self, node: ListNode) -> Range:
        cost = fixed(10)
        item = Range(UNKNOWN if node.elements else 0, 0)
        for element in node.elements:
            cost += self.cost(element)
            item = item.union(self.size_or_any(element))
        self.entries[id(node)] = _Entries("list", ONE, item)
        return cost

    def map(self, node: MapNode) -> Range:
        cost = fixed(30)
        key = value = Range(UNKNOWN if node.entries else 0, 0)
        for entry in node.entries:
            cost += self.cost(entry.key) + self.cost(entry.value)
            key, value = key.union(self.size_or_any(entry.key)), value.union(self.size_or_any(entry.value))
        self.entries[id(node)] = _Entries("map", key, value)
        return cost

    def bind(self, node: Comprehension) -> Range:
        cost = self.cost(node.range) + self.cost(node.init)
        self.push(node.accu, _Local(self.path(node.init), self.size(node.init), self.entry_sizes(node.init)))
        cost += self.cost(node.result)
        self.copy_sizes(node, node.result)
        self.pop(node.accu)
        return cost

    def copy_sizes(self, node: Node, source: Node) -> None:
        size, entries = self.size(source), self.entry_sizes(source)
        if size is not None:
            self.sizes[id(node)] = size
        if entries is not None:
            self.entries[id(node)] = entries

    def comprehension(self, node: Comprehension) -> Range:
        cost = self.cost(node.range) + self.cost(node.init)
        self.push(node.accu, _Local(self.path(node.init), self.size(node.init), self.entry_sizes(node.init)))
        path, entries = self.path(node.range), self.entry_sizes(node.range)
        kind = entries.kind if entries else (node.range.type or t.DYN).kind
        key = _Local((*path, "@indices" if kind == "list" else "@keys"), entries.key if entries else None, None)
        value = _Local((*path, "@items" if kind == "list" else "@values"), entries.value if entries else None, None)
        if node.var2 is None:
            self.push(node.var, value if kind == "list" else key)
        else:
            self.push(node.var, key)
            self.push(node.var2, value)
        loop = self.cost(node.condition)
        step = self.cost(node.step)
        step_entries = self.entry_sizes(node.step)
        self.pop(node.var)
        if node.var2 is not None:
            self.pop(node.var2)
        cost += self.cost(node.result)
        self.pop(node.accu)
        count = self.size_or_any(node.range)
        if isinstance(node.init, Literal):
            size = self.size(node.init)
            if size is not None:
                self.sizes[id(node)] = size
        else:
            self.sizes[id(node)] = count
            if step_entries is not None:
                self.entries[id(node)] = step_entries
        return cost + count * (step + loop)

    def call(self, node: Call) -> Range:
        if node.function == "dyn" and len(node.args) == 1:
            cost = self.cost(node.args[0])
            self.copy_sizes(node, node.args[0])
            return cost + ONE
        costs: list[Range] = []
        for arg in node.args:  # no comprehension: a chain of 250 operators is walked on one stack
            costs.append(self.cost(arg))
        parts = [self.part(arg) for arg in node.args]
        own = ZERO
        target: Part | None = None
        if node.target is not None:
            own = self.cost(node.target)
            target = self.part(node.target)
        if node.function == "_?._":
            return own + sum(costs, ONE)
        if not node.overloads:
            return ZERO
        total = Range(UNKNOWN, 0)
        size: Range | None = None
        for overload in node.overloads:
            cost, result = self.function(node, overload.params, target, parts, costs)
            total = total.union(cost)
            if result is not None:
                size = result if size is None else size.union(result)
            if node.function == "_[_]" and overload.params[0].kind in ("list", "map"):
                entries = self.entry_sizes(node.args[0])
                size = entries.value if entries else None
                step = "@items" if overload.params[0].kind == "list" else "@values"
                self.paths[id(node)] = (*self.path(node.args[0]), step)
            if size is None:
                size = self.size(node)
        if size is not None:
            self.sizes[id(node)] = size
        return own + total

    def function(
        self, node: Call, params: tuple[Type, ...], target: Part | None, parts: list[Part], costs: list[Range]
    ) -> tuple[Range, Range | None]:
        """The cost of one overload with its arguments, and the size of what it answers with."""
        spent = sum(costs, ZERO)
        name = node.function
        match name:
            case "_&&_" | "_||_":
                return Range(costs[0].least, (costs[0] + costs[1]).most), None
            case "_?_:_":
                one, other = self.entry_sizes(node.args[1]), self.entry_sizes(node.args[2])
                if one and other:
                    self.entries[id(node)] = _joined(one, other)
                size = self.size_or_any(node.args[1]).union(self.size_or_any(node.args[2]))
                return costs[0] + costs[1].union(costs[2]), size
            case "_+_" if params[0].kind in ("string", "bytes", "list"):
                size = self.size_or_any(node.args[0]) + self.size_or_any(node.args[1])
                one, other = self.entry_sizes(node.args[0]), self.entry_sizes(node.args[1])
                if one and other:
                    self.entries[id(node)] = _joined(one, other)
                return spent + (ONE if params[0].kind == "list" else size.scale(0.1)), size
        estimate_call = ESTIMATES.get(name)
        found = estimate_call(self, target, parts) if estimate_call else None
        if found is None:
            found = of_size(name, params, target, parts)
        if found is None:
            return spent + ONE, None
        return spent + found[0], found[1]


def _joined(one: _Entries, other: _Entries) -> _Entries:
    return _Entries(one.kind, one.key.union(other.key), one.value.union(other.value))


def _written_size(node: Node) -> Range | None:
    match node:
        case Literal(value=value):
            return fixed(len(value)) if isinstance(value, str | bytes) else ONE
        case ListNode(elements=elements):
            return fixed(len(elements))
        case MapNode(entries=entries):
            return fixed(len(entries))
    return None


def _is_scalar(kind: Type) -> bool:
    if kind.name == "optional_type":
        return _is_scalar(kind.params[0])
    return kind.kind in ("bool", "double", "duration", "int", "timestamp", "uint")
