"""The metadata of templates: labels and annotations. Source: core validation.go, ValidateTemplateObjectMeta."""

from __future__ import annotations

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object

_GO_NAMES = {"uid": "uID"}


def validate(meta: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    for key, value in (meta.get("labels") or {}).items():
        found += causes.each(f"{field}.labels", key, names.qualified_name(key))
        found += causes.each(f"{field}.labels", value, names.label_value(value))
    for key in meta.get("annotations") or ():
        found += causes.each(f"{field}.annotations", key, names.qualified_name(key.lower()))
    return found


def validate_alone(meta: Object, field: str) -> list[Cause]:
    """As `validate`, where nothing else may be said."""
    unfit = [name for name, value in meta.items() if value and name not in ("labels", "annotations")]
    forbidden = [causes.forbidden(f"{field}.{_GO_NAMES.get(name, name)}", "cannot be set") for name in unfit]
    return [*validate(meta, field), *forbidden]
