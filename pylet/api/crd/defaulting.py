"""Fills custom objects with the defaults of their schema. Source: apiserver/schema/defaulting/algorithm.go."""

from __future__ import annotations

from typing import Any

import orjson

from pylet.api.crd.structural import UNSET, Structural


def default(value: Any, node: Structural | None) -> bool:
    """Fill in place; whether anything changed."""
    if node is None:
        return False
    changed = False
    if value.__class__ is dict:
        for name, inner in node.properties.items():
            if inner.default is not UNSET and (name not in value or (value[name] is None and not inner.nullable)):
                value[name] = _copy(inner.default)
                changed = True
        for name, inner_value in value.items():
            known = node.properties.get(name)
            if known is None and (known := node.additional) is not None and inner_value is None and not known.nullable:
                inner_value = value[name] = None if known.default is UNSET else _copy(known.default)
                changed = changed or inner_value is not None
            if inner_value.__class__ is dict or inner_value.__class__ is list:
                changed = default(inner_value, known) or changed
    elif value.__class__ is list and node.item is not None:
        for position, inner_value in enumerate(value):
            if inner_value is None and not node.item.nullable and node.item.default is not UNSET:
                inner_value = value[position] = _copy(node.item.default)
                changed = True
            changed = default(inner_value, node.item) or changed
    return changed


def _copy(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if value.__class__ in (dict, list) else value
