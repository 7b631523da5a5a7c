"""What calls of functions cost, by the sizes of their arguments, and the size of their answers."""

from __future__ import annotations

import math
from collections.abc import Callable

from pylet.api.cel import types as t
from pylet.api.cel.cost.sizes import ANY, ONE, UNKNOWN, ZERO, Part, Range, Sizes, fixed
from pylet.api.cel.syntax import Literal
from pylet.api.cel.types import Type

Estimate = tuple[Range, Range | None]
_COMPARED = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_NOMINAL_TYPES = frozenset({"net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.Semver"})


def of_size(name: str, params: tuple[Type, ...], target: Part | None, parts: list[Part]) -> Estimate | None:
    """cel-go's own functions whose cost depends on a size."""

    def size(part: Part) -> Range:
        return part.size or ANY

    if name in ("_==_", "_!=_") or (name in _COMPARED and params[0].kind in ("string", "bytes")):
        return _of_comparison(name, *parts), None
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
        return (size(target) + ONE).scale(0.1) * size(parts[0]).scale(0.25), None
    if name == "contains":
        return size(target).scale(0.1) * size(parts[0]).scale(0.1), None
    return None


def _of_comparison(name: str, one: Part, other: Part) -> Range:
    """Of what has a size that counts, as much as the shorter has."""
    type_ = one.type.name
    is_nominal = type_ in _NOMINAL_TYPES or type_.startswith("kubernetes.authorization.")
    if name == "_==_" and is_nominal and one.type == other.type:
        return ONE
    smallest = min((one.size or ANY).most, (other.size or ANY).most)
    return Range(1 if smallest > 0 else 0, smallest).scale(0.1)


# ---- Kubernetes' and the list extension's functions

Function = Callable[[Sizes, Part | None, list[Part]], Estimate | None]


def _check(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    return fixed(350_000), None


def _traversal(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None:
        return None
    item = sizes.item_of(target)
    if item is None:
        return sizes.part_size(target).scale(0.1), None
    each = ONE
    if item.type.kind in ("string", "bytes"):
        each += sizes.part_size(item).scale(0.1)
    return sizes.part_size(target) * each, None


def _parsed(factor: float, *, sized: bool = False) -> Function:
    def estimate_call(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
        size = sizes.part_size(parts[0])
        return size.scale(factor), size if sized else None

    return estimate_call


def _changed(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None:
        return None
    size = sizes.part_size(target)
    return size.scale(0.1), size


def _replace(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None or len(parts) < 2:
        return None
    size, old, new = (sizes.part_size(part) for part in (target, parts[0], parts[1]))
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


def _split(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None:
        return None
    size = sizes.part_size(target)
    most = size.most
    if len(parts) > 1 and isinstance(parts[1].node, Literal):
        most = parts[1].node.value
    return size.scale(0.2), Range(0, most if most >= 0 else UNKNOWN)


def _join(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None:
        return None
    count = sizes.part_size(target)
    item = sizes.item_of(target)
    size = count * sizes.part_size(item) if item else ZERO
    if parts:
        size += sizes.part_size(parts[0]) * Range(max(count.least - 1, 0), max(count.most - 1, 0))
    return size.scale(0.1), size


def _find(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None or not parts:
        return None
    size = sizes.part_size(target)
    cost = (size + ONE).scale(0.1) * sizes.part_size(parts[0]).scale(0.25)
    return cost, Range(0, size.most)


def _ip(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    return (ONE, None) if target is not None else (sizes.part_size(parts[0]).scale(0.1), None)


def _contains_network(*, network: bool) -> Function:
    def estimate_call(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
        cost = Range(8, 32).scale(0.1)
        if network:
            cost += Range(4, 16).scale(0.1) + ONE
        if parts[0].type.kind == "string":
            cost += sizes.part_size(parts[0]).scale(0.1)
        return cost, None

    return estimate_call


def _allocated(factor: float, size: Range) -> Estimate:
    return size.scale(factor) + fixed(11), size


def _written_int(part: Part, default: int) -> int:
    value = part.node.value if isinstance(part.node, Literal) else None
    return max(value, 0) if type(value) is int else default


def _slice(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None:
        return None
    end = _written_int(parts[1], sizes.part_size(target).most)
    return _allocated(1, fixed((end - _written_int(parts[0], 0)) % (UNKNOWN + 1)))


def _range(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    return _allocated(1, fixed(_written_int(parts[0], UNKNOWN)))


def _reverse(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    return _allocated(1, sizes.part_size(target)) if target else None


def _flatten(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    depth = _written_int(parts[0], UNKNOWN) if parts else 1
    return _allocated(depth, sizes.part_size(target)) if target else None


def _compared(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    """Each item with each: sort, sortBy (by its keys), distinct."""
    compared = parts[0] if parts else target
    if compared is None:
        return None
    size = sizes.part_size(compared)
    item = compared.type.params[0] if compared.type.params else t.DYN
    return _allocated(2.1 if item.kind in ("string", "bytes") else 2.0, size * size)


def _distinct(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    if target is None:
        return None
    size = sizes.part_size(target)
    return _allocated(2.0, size * size)


def _sets(factor: float) -> Function:
    def estimate_call(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
        size = sizes.part_size(parts[0]) * sizes.part_size(parts[1])
        return size.scale(factor) + ONE, None

    return estimate_call


def _validate(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    return sizes.part_size(parts[0]).scale(0.1).scale(128 * 0.25), None


def _selector(sizes: Sizes, target: Part | None, parts: list[Part]) -> Estimate | None:
    size = sizes.part_size(parts[0])
    return fixed(10) + size.scale(0.1) + size.scale(0.5).scale(50), None


ESTIMATES: dict[str, Function] = {
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
