"""How much an expression can cost at most, from the sizes its schema allows.

Source: checker/cost.go of cel-go and apiserver pkg/cel/library/cost.go. Which CRDs are accepted hangs on these numbers,
so they follow upstream's step by step. Everything saturates at `UNKNOWN`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pylet.api.cel import types as t
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

UNKNOWN = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Range:
    """A size or a cost, between `least` and `most`."""

    least: int
    most: int

    def __add__(self, other: Range) -> Range:
        return Range(min(self.least + other.least, UNKNOWN), min(self.most + other.most, UNKNOWN))

    def __mul__(self, other: Range) -> Range:
        return Range(min(self.least * other.least, UNKNOWN), min(self.most * other.most, UNKNOWN))

    def scale(self, factor: float) -> Range:
        return Range(_scaled(self.least, factor), _scaled(self.most, factor))

    def union(self, other: Range) -> Range:
        return Range(min(self.least, other.least), max(self.most, other.most))


def _scaled(size: int, factor: float) -> int:
    scaled = float(size) * factor
    return UNKNOWN if scaled >= 2.0**64 else math.ceil(scaled)


def _fixed(size: int) -> Range:
    return Range(size, size)


_ZERO, _ONE, _ANY = _fixed(0), _fixed(1), Range(0, UNKNOWN)
Path = tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class _Part:
    """An argument as a function's estimate sees it."""

    node: Node | None
    type: Type
    path: Path
    size: Range | None


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
                return _ONE
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case ListNode():
                return self.list_cost(node)
            case MapNode():
                return self.map(node)
            case StructNode():
                return sum((self.cost(one.value) for one in node.fields), _fixed(40))
            case Comprehension(macro="bind"):
                return self.bind(node)
            case Comprehension():
                return self.comprehension(node)
        return _ZERO

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
            return _ONE
        local = self.local(node)
        return local.size if local else None

    def size_or_any(self, node: Node) -> Range:
        return self.size(node) or _ANY

    def entry_sizes(self, node: Node) -> _Entries | None:
        known = self.entries.get(id(node))
        if known is not None:
            return known
        local = self.local(node)
        return local.entries if local else None

    def part(self, node: Node) -> _Part:
        path = self.path(node)
        return _Part(node, node.type or t.DYN, () if path[:1] == (ACCU,) else path, self.size(node))

    def part_size(self, part: _Part) -> Range:
        return part.size or self.declared_size(part.path) or _ANY

    def item_of(self, part: _Part) -> _Part | None:
        """The items of a list, as a part."""
        if not part.type.params:
            return None
        return _Part(None, part.type.params[0], (*part.path, "@items") if part.path else (), None)

    # ---- nodes

    def select(self, node: Select) -> Range:
        cost = self.cost(node.operand) if node.qualified is None else _ONE
        if node.test_only:
            return cost
        kind = node.operand.type
        if kind is not None and kind.kind in ("map", "object", "param"):
            cost += _ONE
        self.paths[id(node)] = (*self.path(node.operand), node.field)
        return cost

    def list_cost(self, node: ListNode) -> Range:
        cost = _fixed(10)
        item = Range(UNKNOWN if node.elements else 0, 0)
        for element in node.elements:
            cost += self.cost(element)
            item = item.union(self.size_or_any(element))
        self.entries[id(node)] = _Entries("list", _ONE, item)
        return cost

    def map(self, node: MapNode) -> Range:
        cost = _fixed(30)
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
            return cost + _ONE
        costs: list[Range] = []
        for arg in node.args:  # no comprehension: a chain of 250 operators is walked on one stack
            costs.append(self.cost(arg))
        parts = [self.part(arg) for arg in node.args]
        own = _ZERO
        target: _Part | None = None
        if node.target is not None:
            own = self.cost(node.target)
            target = self.part(node.target)
        if node.function == "_?._":
            return own + sum(costs, _ONE)
        if not node.overloads:
            return _ZERO
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
        self, node: Call, params: tuple[Type, ...], target: _Part | None, parts: list[_Part], costs: list[Range]
    ) -> tuple[Range, Range | None]:
        """The cost of one overload with its arguments, and the size of what it answers with."""
        spent = sum(costs, _ZERO)
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
                return spent + (_ONE if params[0].kind == "list" else size.scale(0.1)), size
        estimator = _ESTIMATES.get(name)
        found = estimator(self, target, parts) if estimator else None
        if found is None:
            found = _sized(self, name, params, target, parts)
        if found is None:
            return spent + _ONE, None
        return spent + found[0], found[1]


def _joined(one: _Entries, other: _Entries) -> _Entries:
    return _Entries(one.kind, one.key.union(other.key), one.value.union(other.value))


def _written_size(node: Node) -> Range | None:
    match node:
        case Literal(value=value):
            return _fixed(len(value)) if isinstance(value, str | bytes) else _ONE
        case ListNode(elements=elements):
            return _fixed(len(elements))
        case MapNode(entries=entries):
            return _fixed(len(entries))
    return None


def _is_scalar(kind: Type) -> bool:
    if kind.name == "optional_type":
        return _is_scalar(kind.params[0])
    return kind.kind in ("bool", "double", "duration", "int", "timestamp", "uint")


Estimate = tuple[Range, Range | None]
_COMPARED = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_NOMINAL_TYPES = frozenset({"net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.Semver"})


def _sized(
    estimator: _Estimator, name: str, params: tuple[Type, ...], target: _Part | None, parts: list[_Part]
) -> Estimate | None:
    """cel-go's own functions whose cost depends on a size."""

    def size(part: _Part) -> Range:
        return part.size or _ANY

    if name in ("_==_", "_!=_") or (name in _COMPARED and params[0].kind in ("string", "bytes")):
        if name == "_==_" and parts[0].type == parts[1].type:
            nominal = parts[0].type.name
            if nominal in _NOMINAL_TYPES or nominal.startswith("kubernetes.authorization."):
                return _ONE, None
        smallest = min(size(parts[0]).most, size(parts[1]).most)
        return Range(1 if smallest > 0 else 0, smallest).scale(0.1), None
    if name == "bytes" and params[0].kind == "string":
        one = size(parts[0])
        return one.scale(0.1), Range(one.least, min(one.most * 4, UNKNOWN))
    if name == "string" and params[0].kind == "bytes":
        one = size(parts[0])
        return one.scale(0.1), Range(one.least // 4, one.most)
    if name == "strings.quote":
        one = size(parts[0])
        return one.scale(0.1), Range(one.least + 2, min(one.most * 2 + 2, UNKNOWN))
    if name in ("startsWith", "endsWith"):
        return size(parts[0]).scale(0.1), None
    if name == "@in" and params[1].kind == "list":
        return size(parts[1]).scale(1), None
    if target is None:
        return None
    if name == "format":
        return size(target).scale(0.1), None
    if name == "matches":
        return (size(target) + _ONE).scale(0.1) * size(parts[0]).scale(0.25), None
    if name == "contains":
        return size(target).scale(0.1) * size(parts[0]).scale(0.1), None
    return None


# ---- Kubernetes' and the list extension's functions

_Function = Callable[[_Estimator, _Part | None, list[_Part]], Estimate | None]


def _check(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    return _fixed(350_000), None


def _traversal(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None:
        return None
    item = estimator.item_of(target)
    if item is None:
        return estimator.part_size(target).scale(0.1), None
    each = _ONE
    if item.type.kind in ("string", "bytes"):
        each += estimator.part_size(item).scale(0.1)
    return estimator.part_size(target) * each, None


def _parsed(factor: float, *, sized: bool = False) -> _Function:
    def estimate_call(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
        size = estimator.part_size(parts[0])
        return size.scale(factor), size if sized else None

    return estimate_call


def _changed(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None:
        return None
    size = estimator.part_size(target)
    return size.scale(0.1), size


def _replace(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None or len(parts) < 2:
        return None
    size, old, new = (estimator.part_size(part) for part in (target, parts[0], parts[1]))
    most_kept = most_times = least_kept = least_times = 0
    if old.least == 0:
        most_times, most_kept = min(size.most + 1, UNKNOWN), size.most
    elif new.most <= old.least:
        most_kept = size.most
    else:
        most_times = math.ceil(size.most / old.least)
    if old.most == 0:
        least_times, least_kept = min(size.least + 1, UNKNOWN), size.least
    elif old.most <= new.least:
        least_kept = size.least
    else:
        least_times = math.ceil(size.least / old.most)
    result = Range(least_times, most_times) * new + Range(least_kept, most_kept)
    return size.scale(0.2), result


def _split(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None:
        return None
    size = estimator.part_size(target)
    most = size.most
    if len(parts) > 1 and isinstance(parts[1].node, Literal):
        most = parts[1].node.value
    return size.scale(0.2), Range(0, most if most >= 0 else UNKNOWN)


def _join(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None:
        return None
    count = estimator.part_size(target)
    item = estimator.item_of(target)
    size = count * estimator.part_size(item) if item else _ZERO
    if parts:
        size += estimator.part_size(parts[0]) * Range(max(count.least - 1, 0), max(count.most - 1, 0))
    return size.scale(0.1), size


def _find(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None or not parts:
        return None
    size = estimator.part_size(target)
    cost = (size + _ONE).scale(0.1) * estimator.part_size(parts[0]).scale(0.25)
    return cost, Range(0, size.most)


def _ip(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    return (_ONE, None) if target is not None else (estimator.part_size(parts[0]).scale(0.1), None)


def _contains_network(*, network: bool) -> _Function:
    def estimate_call(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
        cost = Range(8, 32).scale(0.1)
        if network:
            cost += Range(4, 16).scale(0.1) + _ONE
        if parts[0].type.kind == "string":
            cost += estimator.part_size(parts[0]).scale(0.1)
        return cost, None

    return estimate_call


def _allocated(factor: float, size: Range) -> Estimate:
    return size.scale(factor) + _fixed(11), size


def _written_int(part: _Part, default: int) -> int:
    value = part.node.value if isinstance(part.node, Literal) else None
    return max(value, 0) if type(value) is int else default


def _slice(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None:
        return None
    end = _written_int(parts[1], estimator.part_size(target).most)
    return _allocated(1, _fixed((end - _written_int(parts[0], 0)) % (UNKNOWN + 1)))


def _range(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    return _allocated(1, _fixed(_written_int(parts[0], UNKNOWN)))


def _reverse(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    return _allocated(1, estimator.part_size(target)) if target else None


def _flatten(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    depth = _written_int(parts[0], UNKNOWN) if parts else 1
    return _allocated(depth, estimator.part_size(target)) if target else None


def _compared(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    """Each item with each: sort, sortBy (by its keys), distinct."""
    compared = parts[0] if parts else target
    if compared is None:
        return None
    size = estimator.part_size(compared)
    item = compared.type.params[0] if compared.type.params else t.DYN
    return _allocated(2.1 if item.kind in ("string", "bytes") else 2.0, size * size)


def _distinct(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    if target is None:
        return None
    size = estimator.part_size(target)
    return _allocated(2.0, size * size)


def _sets(factor: float) -> _Function:
    def estimate_call(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
        size = estimator.part_size(parts[0]) * estimator.part_size(parts[1])
        return size.scale(factor) + _ONE, None

    return estimate_call


def _validate(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    return estimator.part_size(parts[0]).scale(0.1).scale(128 * 0.25), None


def _selector(estimator: _Estimator, target: _Part | None, parts: list[_Part]) -> Estimate | None:
    size = estimator.part_size(parts[0])
    return _fixed(10) + size.scale(0.1) + size.scale(0.5).scale(50), None


_ESTIMATES: dict[str, _Function] = {
    "check": _check,
    "fieldSelector": _selector,
    "labelSelector": _selector,
    "url": _parsed(0.1, sized=True),
    "jsonpatch.escapeKey": _parsed(0.1, sized=True),
    "replace": _replace,
    "split": _split,
    "join": _join,
    "find": _find,
    "findAll": _find,
    "ip": _ip,
    "ip.isCanonical": _parsed(0.2),
    "containsIP": _contains_network(network=False),
    "containsCIDR": _contains_network(network=True),
    "validate": _validate,
    "slice": _slice,
    "lists.range": _range,
    "reverse": _reverse,
    "flatten": _flatten,
    "sort": _compared,
    "@sortByAssociatedKeys": _compared,
    "distinct": _distinct,
    "sets.contains": _sets(1),
    "sets.intersects": _sets(1),
    "sets.equivalent": _sets(2),
    **{name: _traversal for name in ("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf")},
    **{name: _changed for name in ("lowerAscii", "upperAscii", "substring", "trim")},
    **{name: _parsed(0.1) for name in ("cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver")},
}
