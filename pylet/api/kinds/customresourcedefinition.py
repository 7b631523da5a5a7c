"""CustomResourceDefinitions; what they define is made of them in `pylet.api.crd`.

Source: apiextensions-apiserver pkg/registry/customresourcedefinition.
"""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer of a definition whose objects have to go first."""


class DefinitionStrategy(Strategy):
    has_generation = True

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"acceptedNames": {"kind": "", "plural": ""}, "conditions": None, "storedVersions": []}
        obj["metadata"]["generation"] = 1
        _note_stored_version(obj)

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        if subresource == "status":
            super().prepare_update(obj, old, subresource)
            if not obj["status"].get("storedVersions"):
                obj["status"]["storedVersions"] = []
                _note_stored_version(obj)
            return
        obj["status"] = {**old["status"], "storedVersions": list(old["status"].get("storedVersions") or ())}
        obj["metadata"]["generation"] = old["metadata"].get("generation", 1) + (obj["spec"] != old["spec"])
        _note_stored_version(obj)

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.crd import definition

        return definition.validate(obj)

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        from pylet.api.crd import definition

        if subresource == "status":
            return definition.validate_status(obj, old)
        return definition.validate_update(obj, old)

    def warnings(self, obj: Object) -> Sequence[str]:
        from pylet.api.crd import definition

        return definition.warnings(obj)

    def update_warnings(self, obj: Object, old: Object) -> Sequence[str]:
        known = self.warnings(old)
        return [text for text in self.warnings(obj) if text not in known]


def _note_stored_version(obj: Object) -> None:
    """The stored version counts as used from now on."""
    stored = obj["status"]["storedVersions"]
    for version in obj["spec"].get("versions") or ():
        if version.get("storage"):
            if version["name"] not in stored:
                stored.append(version["name"])
            return


def _cells(obj: Object, now: object) -> list[object]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


KIND = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    name="CustomResourceDefinition",
    plural="customresourcedefinitions",
    definition="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
    strategy=DefinitionStrategy(),
    columns=(
        Column("Name", format="name", description=columns.NAME_TEXT),
        Column("Created At", "date", description=columns.CREATED_TEXT),
    ),
    cells=_cells,
)
