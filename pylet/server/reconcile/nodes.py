"""What of a node matters to who looks at all of them. Pure."""

from __future__ import annotations

from pylet.api.object import Object, annotations_of, conditions_of, labels_of


def standing(node: Object) -> object:
    """Without its heartbeats and images, of which large clusters have some every second."""
    status = node.get("status") or {}
    said = {condition["type"]: condition["status"] for condition in conditions_of(node)}
    shown = status.get("addresses"), status.get("daemonEndpoints")
    return labels_of(node), annotations_of(node), node.get("spec"), said, shown
