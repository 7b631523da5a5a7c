"""StorageClasses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, csi, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object
from pylet.api.podspec.warnings import LABELS

_FIXED = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
_POLICIES = ("Delete", "Retain")
_MODES = ("Immediate", "WaitForFirstConsumer")


class StorageClassStrategy(Strategy):
    """Source: pkg/apis/storage/validation, ValidateStorageClass."""

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = csi.provisioner(obj.get("provisioner", ""), "provisioner")
        found += csi.parameters(obj.get("parameters") or {}, "parameters")
        policy = obj.get("reclaimPolicy")
        if policy and policy not in _POLICIES:
            found.append(causes.not_supported("reclaimPolicy", policy, _POLICIES))
        mode = obj.get("volumeBindingMode")
        if mode not in _MODES:
            found.append(causes.not_supported("volumeBindingMode", mode, _MODES))
        return [*found, *_topologies(obj.get("allowedTopologies") or ())]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        changed = [cause for name in _FIXED for cause in causes.immutable(name, obj.get(name), old.get(name))]
        return [*self.validate(obj), *changed]

    def warnings(self, obj: Object) -> Sequence[str]:
        return [
            f"allowedTopologies[{position}].matchLabelExpressions[{number}].key: {LABELS[key]}"
            for position, term in enumerate(obj.get("allowedTopologies") or ())
            for number, expression in enumerate(term.get("matchLabelExpressions") or ())
            if (key := expression.get("key", "")) in LABELS
        ]


def _topologies(terms: Sequence[Object]) -> list[Cause]:
    found: list[Cause] = []
    # Upstream compares with as many empty terms as there are terms, too.
    seen: list[dict[str, set[str]]] = [{} for _ in terms]
    for position, term in enumerate(terms):
        where = f"allowedTopologies[{position}].matchLabelExpressions"
        wanted: dict[str, set[str]] = {}
        for index, expression in enumerate(term.get("matchLabelExpressions") or ()):
            field, key = f"{where}[{index}]", expression.get("key", "")
            values = expression.get("values") or []
            if not values:
                found.append(causes.required(f"{field}.values"))
            for place, value in enumerate(values):
                if value in values[:place]:
                    found.append(causes.duplicate(f"{field}.values[{place}]", value))
            found += causes.each(f"{field}.key", key, names.qualified_name(key))
            if key in wanted:
                found.append(causes.duplicate(f"{field}.key", key))
            wanted[key] = set(values)
        found += [causes.duplicate(where, "") for before in seen if before == wanted]
        seen.append(wanted)
    return found


_DEFAULTS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def is_default(obj: Object) -> bool:
    """Whether claims that name no class get this one."""
    annotations = obj["metadata"].get("annotations") or {}
    return any(annotations.get(name) == "true" for name in _DEFAULTS)


def _cells(obj: Object, now: datetime) -> list[Any]:
    name = obj["metadata"]["name"]
    return [
        f"{name} (default)" if is_default(obj) else name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="StorageClass",
    plural="storageclasses",
    definition="io.k8s.api.storage.v1.StorageClass",
    namespaced=False,
    short_names=("sc",),
    strategy=StorageClassStrategy(),
    columns=(
        columns.NAME,
        Column("Provisioner", description="Who makes the volumes."),
        Column("ReclaimPolicy", description="What becomes of a volume that is released."),
        Column("VolumeBindingMode", description="When volumes are made and bound."),
        Column("AllowVolumeExpansion", description="Whether volumes may grow."),
        columns.AGE,
    ),
    cells=_cells,
)
