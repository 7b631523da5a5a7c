"""Nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, golang, names, resources
from pylet.api.errors import Cause
from pylet.api.ip import network_problems_of, network_warnings
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, condition_of, dig, labels_of

_ROLE = "node-role.kubernetes.io/"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

_FEATURE = re.compile(r"[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*")
_LONGEST_FEATURE = 253
_FEATURE_SAYS = (
    "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or "
    "MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
)


class NodeStrategy(Strategy):
    """Status may come with a node's creation: the kubelet registers itself that way."""

    has_status = True

    def prepare_create(self, obj: Object) -> None:
        obj.get("spec", {}).pop("configSource", None)
        obj.get("status", {}).pop("config", None)

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        if "configSource" not in old.get("spec", {}):
            obj.get("spec", {}).pop("configSource", None)

    def warnings(self, obj: Object) -> Sequence[str]:
        spec, found = obj.get("spec") or {}, []
        if "configSource" in spec:
            found.append("spec.configSource: the feature is removed")
        if spec.get("externalID"):
            found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
        for position, network in enumerate(spec.get("podCIDRs") or ()):
            found += network_warnings(f"spec.podCIDRs[{position}]", network)
        return found

    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        seen: set[tuple[str, str]] = set()
        for position, taint in enumerate(dig(obj, "spec", "taints", default=())):
            where = f"metadata.taints[{position}]"
            key, value, effect = taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
            found += causes.each(f"{where}.key", key, names.qualified_name(key))
            found += causes.each(f"{where}.value", value, names.label_value(value))
            if not effect:
                found.append(causes.required(f"{where}.effect"))
            elif effect not in _EFFECTS:
                found.append(causes.not_supported(f"{where}.effect", effect, _EFFECTS))
            if (key, effect) in seen:
                says = "taints must be unique by key and effect pair"
                found.append(causes.duplicate(where, golang.inside("Taint", taint), says))
            seen.add((key, effect))
        cidrs = dig(obj, "spec", "podCIDRs", default=())
        for position, cidr in enumerate(cidrs):
            found += causes.each(f"spec.podCIDRs[{position}]", cidr, network_problems_of(cidr))
        if len({":" in cidr for cidr in cidrs}) < len(cidrs):
            says = "may specify no more than one CIDR for each IP family"
            found.append(causes.invalid("spec.podCIDRs", cidrs, says))
        for name in ("capacity", "allocatable"):
            for resource, amount in dig(obj, "status", name, default={}).items():
                found += resources.amount(resource, amount, f"status.{name}.{resource}")
        return [*found, *_features(dig(obj, "status", "declaredFeatures", default=()))]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = list(self.validate(obj))
        if dig(obj, "spec", "externalID", default="") != dig(old, "spec", "externalID", default=""):
            found.append(causes.forbidden("spec.externalID", "may not be updated"))
        for field, named in (("podCIDRs", "podCIDR"), ("providerID", "providerID")):
            before, after = dig(old, "spec", field), dig(obj, "spec", field)
            if field == "podCIDRs" and before and after:
                after = after[: len(before)]  # unlike upstream: a running cluster may be given a second IP family
            if before and after != before:
                says = f'node updates may not change {named} except from "" to valid'
                found.append(causes.forbidden(f"spec.{field}", says))
        return found


def _features(declared: Sequence[str]) -> list[Cause]:
    found: list[Cause] = []
    for position, name in enumerate(declared):
        where = f"status.declaredFeatures[{position}]"
        if len(name) > _LONGEST_FEATURE:
            says = f"invalid feature name {causes.quoted(name)}: must be no more than {_LONGEST_FEATURE} characters"
            found.append(causes.invalid(where, name, says))
        elif not _FEATURE.fullmatch(name):
            found.append(causes.invalid(where, name, f"invalid feature name {causes.quoted(name)}: {_FEATURE_SAYS}"))
        before = declared[position - 1] if position else ""
        if position and name == before:
            found.append(causes.duplicate(where, name))
        elif name < before:
            found.append(causes.invalid(where, name, "list must be sorted alphabetically"))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    ready = condition_of(obj, "Ready")
    status = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    if dig(obj, "spec", "unschedulable"):
        status += ",SchedulingDisabled"
    labels = labels_of(obj)
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} | {
        labels.get("kubernetes.io/role", "")
    }
    info = dig(obj, "status", "nodeInfo", default={})
    kernel = info.get("kernelVersion") or columns.UNKNOWN
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        obj["metadata"]["name"],
        status,
        ",".join(sorted(filter(None, roles))) or "<none>",
        columns.age(obj, now),
        info.get("kubeletVersion", ""),
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        info.get("osImage") or columns.UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or columns.UNKNOWN,
    ]


def _address(obj: Object, type_: str) -> str:
    addresses = dig(obj, "status", "addresses", default=())
    return next((address["address"] for address in addresses if address.get("type") == type_), "<none>")


KIND = Kind(
    group="",
    version="v1",
    name="Node",
    plural="nodes",
    definition="io.k8s.api.core.v1.Node",
    namespaced=False,
    short_names=("no",),
    subresources=("proxy", "status"),
    strategy=NodeStrategy(),
    columns=(
        columns.NAME,
        Column("Status", description="The status of the node"),
        Column("Roles", description="The roles of the node"),
        columns.AGE,
        Column("Version", description="Kubelet Version reported by the node."),
        Column("Internal-IP", priority=1, description="List of addresses reachable to the node."),
        Column("External-IP", priority=1, description="List of addresses reachable to the node."),
        Column("OS-Image", priority=1, description="OS Image reported by the node."),
        Column("Kernel-Version", priority=1, description="Kernel Version reported by the node."),
        Column("Container-Runtime", priority=1, description="ContainerRuntime Version reported by the node."),
    ),
    cells=_cells,
    fields={"spec.unschedulable": lambda obj: "true" if dig(obj, "spec", "unschedulable") else "false"},
)
