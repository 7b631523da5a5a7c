"""Namespaces: deleted in two steps, the second by the namespace controller through `finalize`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class NamespaceStrategy(Strategy):
    has_status = True

    def name_problems(self, name: str) -> Sequence[str]:
        return names.dns_label(name)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Active"}
        meta = obj["metadata"]
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta.get("name", "")}
        finalizers = obj["spec"].setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        if subresource == "finalize":
            obj["status"] = old.get("status", {})
            return
        super().prepare_update(obj, old, subresource)
        # Finalizers in spec change through `finalize` alone.
        obj["spec"] = {**obj.get("spec", {}), "finalizers": old.get("spec", {}).get("finalizers", [])}

    def validate(self, obj: Object, *, is_update: bool = False) -> Sequence[Cause]:
        found: list[Cause] = []
        says = "name is neither a standard finalizer name nor is it fully qualified"
        for position, name in enumerate(obj["spec"].get("finalizers") or ()):
            where = f"spec.finalizers[{position}]" if is_update else "spec.finalizers"
            found += causes.each(where, name, names.qualified_name(name))
            if "/" not in name and name not in ("kubernetes", "orphan", "foregroundDeletion"):
                found.append(causes.invalid(where, name, says))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        return self.validate(obj, is_update=True) if subresource == "finalize" else ()


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], dig(obj, "status", "phase", default=""), columns.age(obj, now)]


KIND = Kind(
    group="",
    version="v1",
    name="Namespace",
    plural="namespaces",
    definition="io.k8s.api.core.v1.Namespace",
    namespaced=False,
    short_names=("ns",),
    subresources=("finalize", "status"),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    strategy=NamespaceStrategy(),
    columns=(columns.NAME, Column("Status", description="The status of the namespace"), columns.AGE),
    cells=_cells,
    fields={"status.phase": lambda obj: dig(obj, "status", "phase", default="")},
)
