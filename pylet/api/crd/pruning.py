"""What goes from a custom object before it is judged: unknown fields, nulls that nothing allows, unknown metadata.

Source: apiextensions-apiserver pkg/apiserver/schema/{pruning,objectmeta,defaulting/prunenulls.go}.
"""

from __future__ import annotations

from typing import Any

from pylet.api import causes, schema
from pylet.api.crd.structural import UNSET, Structural
from pylet.api.errors import Cause
from pylet.api.object import Object

_META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_NOTHING = Structural({})  # specified: everything below is unknown


def prune(value: Any, node: Structural, path: str, unknown: list[str]) -> None:
    """Remove unknown fields in place; their paths are added to `unknown`."""
    if value.__class__ is dict:
        drops: list[str] = []
        for name, inner in value.items():
            if node.embedded and name in _META_FIELDS:
                continue
            known = node.of(name)
            if known is None and node.preserves:
                continue
            if known is None and not node.allows_all:
                drops.append(name)
            elif inner.__class__ is dict or inner.__class__ is list:
                prune(inner, known or _NOTHING, f"{path}.{name}" if path else name, unknown)
        for name in drops:
            if path or name not in _META_FIELDS:
                unknown.append(f"{path}.{name}" if path else name)
            del value[name]
    elif value.__class__ is list:
        if node.item is None and node.preserves:
            return
        for position, inner in enumerate(value):
            if inner.__class__ is dict or inner.__class__ is list:
                prune(inner, node.item or _NOTHING, f"{path}[{position}]", unknown)


def prune_nulls(value: Any, node: Structural | None) -> None:
    """Remove nulls where they are neither allowed nor replaced by a default."""
    if node is None:
        return
    if value.__class__ is dict:
        drops: list[str] = []
        for name, inner in value.items():
            known = node.of(name)
            if inner is None:
                if known is not None and not known.nullable and known.default is UNSET:
                    drops.append(name)
            elif known is not None:
                prune_nulls(inner, known)
        for name in drops:
            del value[name]
    elif value.__class__ is list:
        for inner in value:
            prune_nulls(inner, node.item)


def coerce(value: Any, node: Structural | None, path: str, unknown: list[str]) -> None:
    """Give the metadata of this object and of embedded ones the form ObjectMeta has. Raises: BadCoercion."""
    if node is None:
        return
    if value.__class__ is dict:
        if node.embedded:
            _coerce_meta(value, path, unknown)
        for name, inner in value.items():
            if inner.__class__ is dict or inner.__class__ is list:
                coerce(inner, node.of(name), f"{path}.{name}" if path else name, unknown)
    elif value.__class__ is list:
        for position, inner in enumerate(value):
            coerce(inner, node.item, f"{path}[{position}]", unknown)


class BadCoercion(ValueError):
    """Metadata of the wrong types; `cause` is the field error."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _coerce_meta(obj: Object, path: str, unknown: list[str]) -> None:
    for name in ("apiVersion", "kind"):
        if name in obj and not isinstance(obj[name], str):
            raise BadCoercion(causes.invalid(f"{path}.{name}".lstrip("."), obj[name], "must be a string"))
    if "metadata" not in obj:
        return
    meta = obj["metadata"]
    where = f"{path}.metadata" if path else "metadata"
    if meta is None:
        obj["metadata"] = {}
        return
    if not isinstance(meta, dict):
        says = f"json: cannot unmarshal {schema.Mismatch(meta, '').value} into Go value of type v1.ObjectMeta"
        raise BadCoercion(causes.invalid(where, meta, says)) if path else ValueError(says)
    try:
        lost = schema.of(_OBJECT_META).decode(meta)
    except ValueError as bad:
        if not path:
            raise
        raise BadCoercion(causes.invalid(where, meta, str(bad))) from bad
    unknown += [f"{where}.{name}" for name in lost]
