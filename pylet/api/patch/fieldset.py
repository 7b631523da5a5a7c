"""Sets of fields, kept in the form they have on the wire: FieldsV1, the JSON of `metadata.managedFields[].fieldsV1`.

A Set is nested dicts. A key is one path element: `f:name` a field, `k:{"name":"x"}` a list's item by its keys,
`v:"x"` a set's item by its value, `i:0` an item by its place. An element is a *member* when its node is empty or holds
".", and has *children* when its node holds other keys; {} as a whole is the empty set. So nothing is converted when
an object is read or written, and what nobody owned before shares its nodes with what somebody owns now: no function
here changes a Set it is given.

Source: sigs.k8s.io/structured-merge-diff/v6 fieldpath (set.go, serialize.go, element.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import orjson

from pylet.api.remembered import remembered

Set: TypeAlias = dict[str, Any]
"""Of the nodes below it: dict[str, Set], which a recursive alias would spell."""

SELF = "."
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


# ---- elements


def of_value(value: Any) -> str:
    """The element of a set's item."""
    return "v:" + _go_json(value)


def of_keys(keys: dict[str, Any]) -> str:
    """The element of a keyed list's item; `keys` are in any order."""
    return "k:" + _go_json(dict(sorted(keys.items())) if len(keys) > 1 else keys)


@remembered(1024)  # containers, volumes, variables of many objects bear the same
def of_name(name: str, key: str) -> str:
    """As `of_keys` of a short word."""
    return of_keys({key: name})


def _go_json(value: Any) -> str:
    text = orjson.dumps(value).decode()
    for char, escaped in _HTML.items():
        if char in text:
            text = text.replace(char, escaped)
    return text


# ---- algebra


def union(left: Set, right: Set) -> Set:
    if not left or not right:
        return left or right
    merged = dict(left)
    for element, node in right.items():
        mine = merged.get(element)
        merged[element] = node if mine is None else _either(mine, node)
    return merged


def _either(left: Set, right: Set) -> Set:
    if not left:
        left, right = right, left
    if not right:
        return left if not left or SELF in left else {SELF: {}, **left}
    return union(left, right)


def intersection(left: Set, right: Set) -> Set:
    found: Set = {}
    for element in left.keys() & right.keys():
        if (both := _both(left[element], right[element])) is not None:
            found[element] = both
    return found


def _both(left: Set, right: Set) -> Set | None:
    is_member = (not left or SELF in left) and (not right or SELF in right)
    children = intersection(left, right) if left and right else {}
    children.pop(SELF, None)
    if children and is_member:
        children[SELF] = {}
    return children if children or is_member else None


def difference(left: Set, right: Set, *, recursive: bool = False) -> Set:
    """`left` without the members of `right`; recursive also without what lies below these."""
    if not right:
        return left
    kept: Set = {}
    for element, node in left.items():
        other = right.get(element)
        if other is None:
            kept[element] = node
        elif (rest := _less(node, other, recursive=recursive)) is not None:
            kept[element] = rest
    return kept


def _less(left: Set, right: Set, *, recursive: bool) -> Set | None:
    loses_self = not right or SELF in right
    if not left:
        return None if loses_self else left
    if loses_self and recursive:
        return None
    children = difference({e: n for e, n in left.items() if e != SELF}, right, recursive=recursive)
    if SELF in left and not loses_self:
        return {SELF: {}, **children} if children else {}
    return children or None


def has(fields: Set, path: tuple[str, ...]) -> bool:
    """Whether the element at the end of `path` is a member."""
    node = fields
    for element in path:
        below = node.get(element)
        if below is None:
            return False
        node = below
    return bool(path) and (not node or SELF in node)


def of_paths(*paths: tuple[str, ...]) -> Set:
    found: Set = {}
    for path in paths:
        single: Set = {}
        for element in reversed(path):
            single = {element: single}
        found = union(found, single)
    return found


def paths(fields: Set, prefix: str = "") -> Iterator[str]:
    """Each member as messages name it, as in `.spec.containers[name="x"].image`; members before what lies deeper."""
    elements = [(element, fields[element]) for element in in_order(fields) if element != SELF]
    for element, node in elements:
        if not node or SELF in node:
            yield prefix + shown(element)
    for element, node in elements:
        if node:
            yield from paths(node, prefix + shown(element))


def shown(element: str) -> str:
    match element[0]:
        case "f":
            return "." + element[2:]
        case "k":
            keys = orjson.loads(element[2:])
            return "[" + ",".join(f"{name}={_go_value(value)}" for name, value in keys.items()) + "]"
        case "v":
            return f"[={_go_value(orjson.loads(element[2:]))}]"
    return f"[{element[2:]}]"


def _go_value(value: Any) -> str:
    return orjson.dumps(value).decode()


# ---- the wire


def ordered(fields: Set) -> Set:
    """The same set as upstream writes it: "." first, then elements in their order."""
    return {element: ordered(node) if (node := fields[element]) else node for element in in_order(fields)}


def in_order(fields: Set) -> list[str]:
    """Its elements, "." first."""
    elements = sorted(fields)
    if elements and elements[-1][0] != "f":  # else the text's order is the names', and "." comes first in it
        elements.sort(key=_rank)
    return elements


@remembered(1024)  # names of containers, ports, variables recur, and each is JSON to read
def _rank(element: str) -> tuple[Any, ...]:
    kind, content = element[0], element[2:]
    match kind:
        case ".":
            return (-1,)
        case "f":
            return (0, content)
        case "k":
            return (1, *((name, *_rank_of_value(value)) for name, value in orjson.loads(content).items()))
        case "v":
            return (2, *_rank_of_value(orjson.loads(content)))
    return (3, int(content))


def _rank_of_value(value: Any) -> tuple[int, Any]:
    """Numbers, then strings, then booleans, then the rest: value.Compare."""
    match value:
        case bool():
            return (2, value)
        case int() | float():
            return (0, value)
        case str():
            return (1, value)
    return (3, _go_json(value))


def from_wire(fields: Any) -> Set:
    """A client's FieldsV1 as a Set. Raises: ValueError."""
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise ValueError("fieldsV1 is no object")
    found: Set = {}
    for element, node in fields.items():
        if element == SELF:
            found[SELF] = {}
        elif (canonical := _canonical(element)) is not None:
            below = from_wire(node)
            found[canonical] = {} if below.keys() == {SELF} else below
    return found


def _canonical(element: str) -> str | None:
    """None for an element of a type that nobody knows yet: such are dropped."""
    if element[1:2] != ":":
        raise ValueError(f"missing colon: {element}" if len(element) > 1 else "key must be 2 characters long:")
    match element[0]:
        case "f":
            return element
        case "v":
            return of_value(orjson.loads(element[2:]))
        case "k":
            keys = orjson.loads(element[2:])
            if not isinstance(keys, dict):
                raise ValueError(f"the keys of {element} are no object")
            return of_keys(keys)
        case "i":
            return f"i:{int(element[2:])}"
    return None
