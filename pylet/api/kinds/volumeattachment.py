"""VolumeAttachments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, csi, golang, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig
from pylet.api.podspec import volumespec

_METADATA_BYTES = 256 << 10
_MESSAGE_BYTES = 1024
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


class VolumeAttachmentStrategy(Strategy):
    """Source: pkg/apis/storage/validation, ValidateVolumeAttachment."""

    has_status = True
    status_keeps_metadata = True

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"attached": False}

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found = csi.driver_name(spec.get("attacher", ""), "spec.attacher")
        source = spec.get("source") or {}
        volume, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
        if inline is None and volume is None:
            found.append(causes.required("spec.source", _ONE_SOURCE))
        elif inline is not None and volume is not None:
            found.append(causes.forbidden("spec.source", _ONE_SOURCE))
        elif volume == "":
            says = "must specify non empty persistentVolumeName"
            found.append(causes.required("spec.source.persistentVolumeName", says))
        elif inline is not None:
            found += volumespec.validate(inline, "spec.source.inlineVolumeSpec", inline=True)
        node = spec.get("nodeName", "")
        found += causes.each("spec.nodeName", node, names.dns_subdomain(node))
        found += _status(obj.get("status") or {})
        if volume is not None:
            found += causes.each("spec.source.persistentVolumeName", volume, names.dns_subdomain(volume))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        changed = golang.immutable("spec", "VolumeAttachmentSpec", obj["spec"], old["spec"])
        return [*self.validate(obj), *changed]


def _status(status: Object) -> list[Cause]:
    found: list[Cause] = []
    if sum(len(key) + len(value) for key, value in (status.get("attachmentMetadata") or {}).items()) > _METADATA_BYTES:
        found.append(causes.too_long("status.attachmentMetadata", _METADATA_BYTES))
    for name in ("attachError", "detachError"):
        error = status.get(name) or {}
        if len(error.get("message", "")) > _MESSAGE_BYTES:
            found.append(causes.too_long(f"status.{name}.message", _METADATA_BYTES))
        if error.get("errorCode", 0) < 0:
            says = f"must be between 0 and {(1 << 31) - 1}, inclusive"
            found.append(causes.invalid(f"status.{name}.errorCode", error["errorCode"], says))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("attacher", ""),
        dig(spec, "source", "persistentVolumeName", default=""),
        spec.get("nodeName", ""),
        dig(obj, "status", "attached", default=False),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="VolumeAttachment",
    plural="volumeattachments",
    definition="io.k8s.api.storage.v1.VolumeAttachment",
    namespaced=False,
    subresources=("status",),
    strategy=VolumeAttachmentStrategy(),
    columns=(
        columns.NAME,
        Column("Attacher", format="name", description="The CSI driver that attaches the volume."),
        Column("PV", description="The volume."),
        Column("Node", description="The node it is attached to."),
        Column("Attached", "boolean", description="Whether it is attached."),
        columns.AGE,
    ),
    cells=_cells,
)
