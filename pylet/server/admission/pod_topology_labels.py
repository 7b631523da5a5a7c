"""A pod bears the zone and the region of its node. Source: plugin/pkg/admission/podtopologylabels."""

from __future__ import annotations

from pylet.api.object import Key, labels_of
from pylet.server.admission.interface import CREATE, Attributes, Plugin

_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


async def admit(write: Attributes) -> None:
    obj = write.obj
    assert obj is not None
    if write.subresource:
        target = obj.get("target") or {}
        name = target.get("name") if target.get("kind") == "Node" else ""
    else:
        name = obj["spec"].get("nodeName")
    entry = write.table("Node").entries.get(Key("", name)) if name else None
    if entry is not None:
        copied = {label: entry.labels[label] for label in _LABELS if label in entry.labels}
        if copied:
            obj["metadata"]["labels"] = {**labels_of(obj), **copied}


PLUGIN = Plugin("PodTopologyLabels", dict.fromkeys(("pods", "pods/binding"), frozenset((CREATE,))), admit)
