"""VolumeAttachments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class VolumeAttachmentStrategy(Strategy):
    has_status = True
    status_keeps_metadata = True


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
