"""ConfigMaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_MOST_BYTES = 1 << 20
_FROZEN = "field is immutable when `immutable` is set"


class ConfigMapStrategy(Strategy):
    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        for key in data:
            found += causes.each(f"data[{key}]", key, names.config_key(key))
            if key in binary:
                found.append(causes.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        for key in binary:
            found += causes.each(f"binaryData[{key}]", key, names.config_key(key))
        # Characters are at most four bytes: the exact count is only worth its time near the limit.
        roughly = sum(map(len, data.values())) * 4 + sum(map(len, binary.values()))
        if roughly > _MOST_BYTES:
            exactly = sum(len(text.encode()) for text in data.values())
            exactly += sum(len(text) * 3 // 4 - text.count("=") for text in binary.values())
            if exactly > _MOST_BYTES:
                found.append(causes.too_long("[]", _MOST_BYTES))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = list(self.validate(obj))
        if old.get("immutable"):
            if not obj.get("immutable"):
                found.append(causes.forbidden("immutable", _FROZEN))
            for field in ("data", "binaryData"):
                if obj.get(field) != old.get(field):
                    found.append(causes.forbidden(field, _FROZEN))
        return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [obj["metadata"]["name"], count, columns.age(obj, now)]


KIND = Kind(
    group="",
    version="v1",
    name="ConfigMap",
    plural="configmaps",
    definition="io.k8s.api.core.v1.ConfigMap",
    short_names=("cm",),
    strategy=ConfigMapStrategy(),
    columns=(columns.NAME, Column("Data", description="Data contains the configuration data."), columns.AGE),
    cells=_cells,
)
