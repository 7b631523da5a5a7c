"""Strategic merge patch: a merge patch that knows from the schema which lists are sets of things with a key.

Directives: `$patch: replace|delete`, `$retainKeys`, `$deleteFromPrimitiveList/<list>`, `$setElementOrder/<list>`.
Also the three-way patch that `kubectl apply` makes. Source: apimachinery `pkg/util/strategicpatch/patch.go`.
"""

from __future__ import annotations

from typing import Any, Protocol

from pylet.api.object import Object
from pylet.api.patch import BadPatch, Failed, json_word, shown

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_GO_KINDS = {str: "string", bool: "bool", int: "int64", float: "float64"}


class Shape(Protocol):
    """What the schema knows of a field: `pylet.api.schema.Node`."""

    merge_key: str
    patch_strategy: tuple[str, ...]

    @property
    def items(self) -> Any: ...

    def child(self, name: str) -> Any: ...


class Fields(Protocol):
    """What has named fields: a Struct of the schema, or a Node."""

    def child(self, name: str) -> Any: ...


def apply(obj: Object, patch: Any, fields: Fields | None) -> Object:
    """`fields` is the schema of the whole object; None merges without lists' keys. Raises: BadPatch, Failed."""
    if patch is None:
        patch = {}
    if not isinstance(patch, dict):
        raise BadPatch(f"json: cannot unmarshal {json_word(patch)} into Go value of type map[string]interface {{}}")
    return _merge_map(obj, patch, fields)


def _merge_map(original: Object, patch: Object, fields: Fields | None) -> Object:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _PATCH}
    if directive == "delete":
        return {}
    if directive is not None:
        raise Failed(f"unknown patch type: {shown(directive)} in map: {shown(patch)}")
    merged = _retained(original, patch)
    ordered = []
    for name, value in patch.items():
        if name.startswith(_ORDER):
            ordered.append(name.removeprefix(_ORDER))
        elif name.startswith(_DELETE_FROM):
            _delete_from(merged, name.removeprefix(_DELETE_FROM), value if isinstance(value, list) else [])
        elif name in (_PATCH, _RETAIN):
            continue
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_value(merged.get(name), value, fields.child(name) if fields is not None else None)
    for name in ordered:
        order = patch[_ORDER + name]
        if not isinstance(order, list):
            raise Failed(f"expected a []interface {{}}, but received a {_GO_KINDS.get(type(order), 'map')}")
        _set_order(merged, name, order, patch.get(name), original.get(name), fields)
    return merged


def _retained(original: Object, patch: Object) -> Object:
    """A copy of what the patch leaves of `original`: all of it, unless it says which fields there may be."""
    if (retain := patch.get(_RETAIN)) is None:
        return dict(original)
    kept = {name for name in retain if isinstance(name, str)} if isinstance(retain, list) else set()
    if not isinstance(retain, list) or any(not name.startswith("$") and name not in kept for name in patch):
        raise BadPatch("invalid patch format of retainKeys")
    return {name: value for name, value in original.items() if name in kept}


def _merge_value(original: Any, patch: Any, shape: Shape | None) -> Any:
    if isinstance(patch, dict):
        if not isinstance(original, dict):
            return _without_directives(patch)
        if shape is not None and "replace" in shape.patch_strategy:
            return _without_directives(patch)
        return _merge_map(original, patch, shape)
    if isinstance(patch, list):
        if shape is None or "merge" not in shape.patch_strategy:
            return patch
        if not isinstance(original, list):
            return _without_directives(patch)
        return _merge_list(original, patch, shape)
    return patch


def _merge_list(original: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    key = shape.merge_key
    if not any(isinstance(item, dict) for item in (*original[:1], *patch[:1])):
        merged = list({_key_of(item, ""): item for item in (*original, *patch)}.values())
        return _in_order(merged, patch, original, "")
    if not key:
        raise Failed("cannot merge lists without merge key for this type")
    if not all(isinstance(item, dict) for item in patch):
        raise Failed(f"list element types are not identical: {shown([original, patch])}")
    if any(_directive(item) == "merge" for item in patch):
        raise Failed("merging lists cannot yet be specified in the patch")
    if any(_directive(item) == "replace" for item in patch):
        return [_without_directives(item) for item in patch if _directive(item) != "replace"]
    gone = {_key_of(item, key) for item in patch if _directive(item) == "delete"}
    merged = [item for item in original if _key_of(item, key) not in gone]
    places = {_key_of(item, key): place for place, item in enumerate(merged)}
    changes = [item for item in patch if _directive(item) != "delete"]
    for change in changes:
        place = places.get(_key_of(change, key))
        if place is None:
            places[_key_of(change, key)] = len(merged)
            merged.append(_without_directives(change))
        else:
            merged[place] = _merge_map(merged[place], change, shape.items)
    return _in_order(merged, changes, original, key)


def _in_order(merged: list[Any], patch: list[Any], server: list[Any], key: str) -> list[Any]:
    """What the patch names in the patch's order, the rest in the server's, merged as upstream merges the two."""
    patch_rank = _ranks(patch, key)
    server_rank = _ranks(server, key)
    named = sorted(
        (item for item in merged if _key_of(item, key) in patch_rank), key=lambda i: patch_rank[_key_of(i, key)]
    )
    others = [item for item in merged if _key_of(item, key) not in patch_rank]
    others.sort(key=lambda item: server_rank.get(_key_of(item, key), len(server)))
    result: list[Any] = []
    left, right = 0, 0
    while left < len(others) and right < len(named):
        mine, theirs = server_rank.get(_key_of(others[left], key)), server_rank.get(_key_of(named[right], key))
        if mine is not None and theirs is not None and mine < theirs:
            result.append(others[left])
            left += 1
        else:
            result.append(named[right])
            right += 1
    return result + others[left:] + named[right:]


def _set_order(merged: Object, name: str, order: list[Any], patch: Any, server: Any, fields: Fields | None) -> None:
    if not isinstance(merged.get(name), list):
        return
    shape = fields.child(name) if fields is not None else None
    key = shape.merge_key if shape is not None else ""
    if isinstance(patch, list):
        named = [_key_of(item, key) for item in patch if _directive(item) is None]
        wanted = iter([_key_of(item, key) for item in order])
        if not all(any(value == other for other in wanted) for value in named):
            lists = f"patch list:\n{shown(patch)}\n doesn't match $setElementOrder list:\n{shown(order)}\n"
            raise Failed(f"The order in {lists}")
    merged[name] = _in_order(merged[name], order, server if isinstance(server, list) else [], key)


def _delete_from(merged: Object, name: str, gone: list[Any]) -> None:
    if isinstance(merged.get(name), list):
        scalars = {item for item in gone if not isinstance(item, dict | list)}
        merged[name] = [item for item in merged[name] if isinstance(item, dict | list) or item not in scalars]


def _without_directives(value: Any) -> Any:
    """What is new takes the patch's value, less its nulls and directives."""
    if isinstance(value, dict):
        return {n: _without_directives(v) for n, v in value.items() if v is not None and not _is_directive(n)}
    if isinstance(value, list):
        return [_without_directives(item) for item in value if _directive(item) is None]
    return value


def _is_directive(name: str) -> bool:
    return name in (_PATCH, _RETAIN) or name.startswith((_ORDER, _DELETE_FROM))


def _directive(item: Any) -> Any:
    return item.get(_PATCH) if isinstance(item, dict) else None


def _key_of(item: Any, key: str) -> Any:
    if key and (not isinstance(item, dict) or key not in item):
        raise Failed(f"map: {shown(item)} does not contain declared merge key: {key}")
    value = item[key] if key else item
    if isinstance(value, dict | list):
        raise Failed(f"{shown(value)} cannot identify an element of a list")
    return value


def _ranks(items: list[Any], key: str) -> dict[Any, int]:
    return {_key_of(item, key): rank for rank, item in enumerate(items)}


# ---- the patch of `kubectl apply`


def three_way(last_applied: Object, wanted: Object, current: Object, fields: Fields | None) -> Object:
    """Makes `current` what is `wanted` and drops what only `last_applied` had; {} when nothing differs."""
    patch: Object = {}
    for name, value in wanted.items():
        if name not in current:
            patch[name] = value
            continue
        now, before = current[name], last_applied.get(name)
        shape = fields.child(name) if fields is not None else None
        if isinstance(value, dict) and isinstance(now, dict):
            inner = three_way(before if isinstance(before, dict) else {}, value, now, shape)
            if inner:
                patch[name] = _retaining(inner, value, shape)
        elif (
            isinstance(value, list) and isinstance(now, list) and shape is not None and "merge" in shape.patch_strategy
        ):
            patch |= _list_patch(name, before if isinstance(before, list) else [], value, now, shape)
        elif now != value:
            patch[name] = value
    patch |= {name: None for name in last_applied if name not in wanted and name in current}
    return patch


def _list_patch(name: str, before: list[Any], wanted: list[Any], now: list[Any], shape: Shape) -> Object:
    key = shape.merge_key
    if not key:
        added = [item for item in wanted if item not in now]
        gone = [item for item in before if item not in wanted and item in now]
        patch: Object = {name: added} if added else {}
        if gone:
            patch[_DELETE_FROM + name] = gone
        order: list[Any] = wanted
    else:
        old = {_key_of(item, key): item for item in before}
        there = {_key_of(item, key): item for item in now}
        changes: list[Object] = []
        for item in wanted:
            value = _key_of(item, key)
            if value not in there:
                changes.append(item)
            elif inner := three_way(old.get(value, {}), item, there[value], shape.items):
                changes.append({**_retaining(inner, item, shape), key: value})
        kept = {_key_of(item, key) for item in wanted}
        changes += [{_PATCH: "delete", key: value} for value in old if value not in kept and value in there]
        patch = {name: changes} if changes else {}
        order = [{key: _key_of(item, key)} for item in wanted]
    common = [item for item in order if _key_of(item, key) in _ranks(now, key)]
    ranks = _ranks(now, key)
    if patch or common != sorted(common, key=lambda item: ranks[_key_of(item, key)]):
        patch[_ORDER + name] = order
    return patch


def _retaining(inner: Object, wanted: Object, shape: Shape | None) -> Object:
    if shape is not None and "retainKeys" in shape.patch_strategy:
        return {**inner, _RETAIN: sorted(wanted)}
    return inner
