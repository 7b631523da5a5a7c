"""CSIStorageCapacities; upstream prints no columns of its own for them."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api import causes, golang, names, quantity, selector
from pylet.api.errors import Cause
from pylet.api.kind import Kind, Strategy
from pylet.api.object import Object
from pylet.api.podspec.warnings import LABELS, node_term


class CSIStorageCapacityStrategy(Strategy):
    """Source: pkg/apis/storage/validation, ValidateCSIStorageCapacity."""

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = selector.validate_object(obj.get("nodeTopology"), "nodeTopology")
        name, capacity = obj.get("storageClassName", ""), obj.get("capacity")
        found += causes.each("storageClassName", name, names.dns_subdomain(name))
        if capacity is not None and quantity.milli_of(capacity) < 0:
            found.append(causes.invalid("capacity", capacity, "must be greater than or equal to 0"))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = list(self.validate(obj))
        found += golang.immutable("nodeTopology", "LabelSelector", obj.get("nodeTopology"), old.get("nodeTopology"))
        now, was = (each.get("storageClassName") for each in (obj, old))
        return [*found, *causes.immutable("storageClassName", now, was)]

    def warnings(self, obj: Object) -> Sequence[str]:
        topology = obj.get("nodeTopology") or {}
        found = list(node_term(topology, "nodeTopology"))
        chosen = topology.get("matchLabels") or {}
        return [*found, *(f"nodeTopology.matchLabels.{key}: {LABELS[key]}" for key in chosen if key in LABELS)]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIStorageCapacity",
    plural="csistoragecapacities",
    definition="io.k8s.api.storage.v1.CSIStorageCapacity",
    strategy=CSIStorageCapacityStrategy(),
)
