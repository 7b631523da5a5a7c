"""JSON merge patch (RFC 7386), and the three-way one that `kubectl apply` makes for kinds without a schema.

Unlike the RFC's, and like upstream's, a null within a list's objects says that there is no such field, too.
Source: gopkg.in/evanphx/json-patch.v4 merge.go.
"""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object
from pylet.api.patch import BadPatch, json_word


def apply(obj: Object, patch: Any) -> Object:
    """Raises: BadPatch."""
    if not isinstance(patch, dict):
        if patch is None:
            raise BadPatch("Invalid JSON Patch")
        into = "Go value of type map[string]interface {}"
        raise BadPatch(f"error decoding patch: json: cannot unmarshal {json_word(patch)} into {into}")
    merged: Object = _merge(obj, patch)
    return merged


def three_way(last_applied: Object, wanted: Object, current: Object) -> Object:
    """Makes `current` what is `wanted` and drops what only `last_applied` had; {} when nothing differs."""
    patch: Object = {}
    for name, value in wanted.items():
        now = current.get(name)
        if isinstance(value, dict) and isinstance(now, dict):
            before = last_applied.get(name)
            if inner := three_way(before if isinstance(before, dict) else {}, value, now):
                patch[name] = inner
        elif name not in current or now != value:
            patch[name] = value
    patch |= {name: None for name in last_applied if name not in wanted and name in current}
    return patch


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch if isinstance(target, dict) else _without_nulls(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
