"""Walks over objects with their Shape: what changed between two, what one sets, two merged, one without some fields.

Source: sigs.k8s.io/structured-merge-diff/v6 typed (compare.go, tofieldset.go, merge.go, remove.go). What
Go prints of an empty object (`Shape.always`) counts as there, whether the JSON at hand says it or not. Sets of changes
are made in upstream's order, as they are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pylet.api.patch.fieldset import SELF, Set, difference, in_order, of_keys, of_name, of_value, union
from pylet.api.patch.shape import DEDUCED, Form, Shape

_ABSENT: Final = object()
_MOST_FLAT: Final = 64
_SHORT: Final = 63
_LEAF, _FIELDS, _SET, _KEYED, _DEDUCED = Form.LEAF, Form.FIELDS, Form.SET, Form.KEYED, Form.DEDUCED  # quicker to reach


# ---- list items


def element_of(item: Any, shape: Shape) -> str:
    """The path element of an item of a SET or KEYED list. Raises: ValueError."""
    if shape.form is _SET:
        if isinstance(item, dict):
            raise ValueError("associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise ValueError("not supported: associative list with lists as elements")
        if item is None:
            raise ValueError("associative list without keys has an element that's an explicit null")
        return of_value(item)
    if len(shape.keys) == 1 and item.__class__ is dict:
        name = item.get(shape.keys[0])
        if name.__class__ is str and len(name) <= _SHORT:
            return of_name(name, shape.keys[0])
    if item is None:
        raise ValueError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise ValueError("associative list with keys may not have non-map elements")
    keys = {key: item[key] for key in shape.keys if key in item}
    if len(keys) < len(shape.keys):
        keys = {**shape.defaults, **keys}
    if not keys:
        listed = " ".join(f'"{key}"' for key in shape.keys)
        raise ValueError(
            f"associative list with keys has an element that omits all key fields [{listed}] "
            "(and doesn't have default values for any key fields)"
        )
    return of_keys(keys)


def _elements(items: list[Any], shape: Shape) -> dict[str, list[Any]]:
    """Items by their element, in the list's order; twice the same element gives two."""
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(element_of(item, shape), []).append(item)
    return found


# ---- compare


@dataclass(slots=True)
class Changes:
    """What differs between two objects, as Sets."""

    removed: Set
    modified: Set
    added: Set

    @property
    def touched(self) -> Set:
        return union(self.modified, self.added)

    def without(self, ignored: Set) -> Changes:
        if not ignored:
            return self
        return Changes(*(difference(s, ignored, recursive=True) for s in (self.removed, self.modified, self.added)))

    def __bool__(self) -> bool:
        return bool(self.removed or self.modified or self.added)


def compare(old: Any, new: Any, shape: Shape) -> Changes:
    """Raises: ValueError, for a list whose items cannot be told apart."""
    changes = Changes({}, {}, {})
    _compare(old, new, shape, changes)
    return changes


def _compare(old: Any, new: Any, shape: Shape, into: Changes) -> None:
    """Both are there and differ; `into` holds the Sets below their place."""
    if shape.form is _FIELDS or shape.form is _DEDUCED:
        _compare_fields(old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}, shape, into)
    else:
        _compare_items(old or [], new or [], shape, into)


def _compare_fields(old: Any, new: Any, shape: Shape, into: Changes) -> None:
    always, known = shape.always, shape.known
    for name in sorted(new):
        value = new[name]
        before = old.get(name, _ABSENT)
        if before is _ABSENT and name in always:
            before = always[name]
        if before is not _ABSENT and before == value:
            continue
        child = known.get(name) or shape.child(name)
        if child is not None:
            _compare_child("f:" + name, before, value, child, into)
    for name in sorted(old.keys() - new.keys()):
        before = old[name]
        if (child := shape.child(name)) is not None:
            value = always.get(name, _ABSENT)
            if value is _ABSENT or value != before:
                _compare_child("f:" + name, before, value, child, into)


def _compare_items(old: list[Any], new: list[Any], shape: Shape, into: Changes) -> None:
    before, after = _elements(old, shape), _elements(new, shape)
    item = shape.item or DEDUCED
    for element in in_order({**before, **after}):
        had, has = before.get(element, ()), after.get(element, ())
        if len(had) < 2 and len(has) < 2:
            was, now = had[0] if had else _ABSENT, has[0] if has else _ABSENT
            if was != now:
                _compare_child(element, was, now, item, into)
        elif len(had) > 1 and len(has) > 1:
            if had != has:
                into.modified[element] = {}
        elif len(had) > 1:
            if has:
                _compare_child(element, _ABSENT, has[0], item, into)
            into.removed[element] = {**into.removed.get(element, {})}
        else:
            if had:
                _compare_child(element, had[0], _ABSENT, item, into)
            into.added[element] = {**into.added.get(element, {})}


def _compare_child(element: str, old: Any, new: Any, shape: Shape, into: Changes) -> None:
    if old is _ABSENT:
        into.added[element] = _whole(new, shape)
    elif new is _ABSENT:
        into.removed[element] = _whole(old, shape)
    elif _is_leaf(old, shape) and _is_leaf(new, shape):
        into.modified[element] = {}
    else:
        below = Changes({}, {}, {})
        _compare(old, new, shape, below)
        if shape.form is _DEDUCED and not (isinstance(old, dict) and isinstance(new, dict)):
            below.modified = {SELF: {}, **below.modified} if below.modified else {}
            into.modified[element] = below.modified
        elif below.modified:
            into.modified[element] = below.modified
        if below.added:
            into.added[element] = below.added
        if below.removed:
            into.removed[element] = below.removed


def _is_leaf(value: Any, shape: Shape) -> bool:
    """Whether comparing ends here; what is empty is a leaf as long as the other side is, too."""
    return not value or shape.form is _LEAF or (shape.form is _DEDUCED and not isinstance(value, dict))


def _whole(value: Any, shape: Shape) -> Set:
    """The node of something that is there on one side only: itself and all below it.

    All of a new pod goes this way: what costs a call is said in place.
    """
    if not value or shape.form is _LEAF or (shape.form is _DEDUCED and value.__class__ is not dict):
        return {}
    if isinstance(value, dict):
        names = tuple(value)
        return shape.flat.get(names) or _whole_fields(value, names, shape)
    node: Set = {SELF: {}}
    if isinstance(value, list):
        found = _elements(value, shape)
        for element in in_order(found):
            items = found[element]
            node[element] = _whole(items[0], shape.item or DEDUCED) if len(items) == 1 else {}
    return node


def _whole_fields(value: Any, names: tuple[str, ...], shape: Shape) -> Set:
    node: Set = {SELF: {}}
    if (every := shape.every) is not None and every.form is _LEAF:
        for name in sorted(names):
            node["f:" + name] = {}
        return node
    is_flat, known = shape.item is None, shape.known
    for name in sorted(names):
        if (child := known.get(name) or shape.child(name)) is None:
            continue
        if child.form is _LEAF:
            node["f:" + name] = {}
        else:
            node["f:" + name] = _whole(value[name], child)
            is_flat = False
    if is_flat and len(shape.flat) < _MOST_FLAT:
        shape.flat[names] = node
    return node


# ---- the fields an object sets


def fields_of(obj: Any, shape: Shape) -> Set:
    """What an applied configuration claims."""
    return _claimed(obj, shape, is_member=False) or {}


def _claimed(value: Any, shape: Shape, *, is_member: bool) -> Set | None:
    form = shape.form
    if form is _LEAF or (form is _DEDUCED and not isinstance(value, dict | None)):
        return {}
    node: Set = {}
    if isinstance(value, dict):
        for name, inner in value.items():
            if (child := shape.child(name)) is None:
                continue
            own = inner is None or inner == {} or shape.declared(name) is None
            if (below := _claimed(inner, child, is_member=own)) is not None:
                node["f:" + name] = below
    elif isinstance(value, list):
        for element, items in _elements(value, shape).items():
            below = {}
            if len(items) == 1:
                below = _claimed(items[0], shape.item or DEDUCED, is_member=True) or {}
            node[element] = below
    if node and is_member:
        node[SELF] = {}
    return node if node or is_member else None


def with_named(fields: Set, shape: Shape | None) -> Set:
    """The set with every declared field that has children a member, too: EnsureNamedFieldsAreMembers."""
    named: Set = {}
    for element, node in fields.items():
        if not node:
            named[element] = node
            continue
        inner: Shape | None = None
        own = SELF in node
        if shape is not None and element[0] == "f":
            declared = shape.declared(element[2:])
            own = own or declared is not None
            inner = declared or shape.item
        elif shape is not None and element[0] == "k":
            inner = shape.item
        below = with_named({e: n for e, n in node.items() if e != SELF}, inner)
        if own:
            below[SELF] = {}
        named[element] = below
    return named


def regrouped(fields: Set, shape: Shape) -> Set:
    """The set with what its schema has come to take as a whole owned as a whole; the set itself if that is nothing.

    Source: ReconcileFieldSetWithSchema.
    """
    changed: Set = {}
    for element, node in fields.items():
        inner = shape.child(element[2:]) if element[0] == "f" else shape.item
        if not node or element == SELF or inner is None:
            continue
        below: Set = {} if inner.form is _LEAF and inner.takes in (list, dict) else regrouped(node, inner)
        if below is not node:
            changed[element] = below
    return {**fields, **changed} if changed else fields


# ---- merge


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """`live` with what `config` says; the config's lists keep the config's order. Shares parts with both."""
    merged = _merge(live, config, shape)
    return {} if merged is _ABSENT else merged


def _merge(live: Any, config: Any, shape: Shape) -> Any:
    if config is _ABSENT:
        return live
    form = shape.form
    if live is _ABSENT:
        live_is, config_is = None, config
    else:
        live_is, config_is = live, config
    if form is _LEAF or (not live_is and not config_is):
        return config
    if form is _DEDUCED and not isinstance(config_is, dict):
        return live if config_is is None and isinstance(live_is, dict) else config
    if form is _FIELDS or form is _DEDUCED:
        return _merge_fields(live_is if isinstance(live_is, dict) else {}, config_is or {}, shape)
    return _merge_items(live_is or [], config_is or [], shape)


def _merge_fields(live: Any, config: Any, shape: Shape) -> Any:
    merged = {name: value for name, value in live.items() if name not in config}
    for name, value in config.items():
        child = shape.child(name) or DEDUCED
        out = _merge(live.get(name, shape.always.get(name, _ABSENT)), value, child)
        merged[name] = out
    return merged


def _merge_items(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """Items of both in one order: the config's for its own, the live list's for what stands between them."""
    item = shape.item or DEDUCED
    left = [element_of(one, shape) for one in live]
    right = [element_of(one, shape) for one in config]
    by_left = {e: _ABSENT if len(found) > 1 else found[0] for e, found in _elements(live, shape).items()}
    by_right = dict(zip(right, config, strict=True))
    shared = iter([element for element in right if element in by_left])
    next_shared = next(shared, None)
    done: set[str] = set()
    merged: list[Any] = []

    def take(element: str) -> None:
        done.add(element)
        merged.append(_merge(by_left.get(element, _ABSENT), by_right[element], item))

    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            element = left[i]
            if element == right[j]:
                take(element)
                i, j, next_shared = i + 1, j + 1, next(shared, None)
                continue
            if element in by_right and next_shared is not None and next_shared != element:
                i += 1
                continue
        if i < len(left):
            element = left[i]
            if element not in by_right:
                merged.append(live[i])
                i += 1
                continue
            if element in done:
                i += 1
        if j < len(right):
            take(right[j])
            if next_shared == right[j]:
                next_shared = next(shared, None)
            j += 1
    return merged


# ---- remove


def remove(value: Any, gone: Set, shape: Shape) -> Any:
    """`value` without the members of `gone`; what loses all its fields stays, empty."""
    if isinstance(value, dict) and shape.form in (_FIELDS, _DEDUCED):
        kept = {}
        for name, inner in value.items():
            node = gone.get("f:" + name)
            if node is None:
                kept[name] = inner
            elif node and SELF not in node:
                kept[name] = _remove_below(inner, node, shape.child(name) or DEDUCED)
        return kept
    if isinstance(value, list) and shape.form in (_SET, _KEYED):
        items = []
        for item in value:
            node = gone.get(element_of(item, shape))
            if node is None:
                items.append(item)
            elif node and SELF not in node:
                items.append(_remove_below(item, node, shape.item or DEDUCED))
        return items
    return value if not isinstance(value, dict | list) else None


def _remove_below(value: Any, gone: Set, shape: Shape) -> Any:
    kept = remove(value, gone, shape)
    return type(value)() if kept is None and isinstance(value, dict | list) else kept
