"""What an object that the cluster starts with shall be, where there is one of its name already.

A merge patch of the wanted object does it, because a write that changes nothing is none. What RBAC objects grant beyond
what is wanted stays, and one annotated `autoupdate: "false"` is left alone, as in upstream's bootstrap reconciliation.
"""

from __future__ import annotations

from pylet.api import flowcontrol, kinds
from pylet.api.errors import NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.object import Object, annotations_of
from pylet.server.addons import gateway_api

_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_MADE_ONCE = ("IngressClass", "Service", "StorageClass")  # defaults that may move, addresses that may not
_GRANTS = ("rules", "subjects")


def is_another(obj: Object, current: Object) -> bool:
    """Whether no patch can make the one of the other: it has to go first. Source: pkg/controlplane/reconcilers."""
    return obj.get("addressType") != current.get("addressType")


def change_of(obj: Object, current: Object) -> Object | None:
    """The merge patch that makes `current` what it shall be; None where it is to be left alone."""
    annotations = annotations_of(current)
    if obj["kind"] in _MADE_ONCE or (obj["kind"] == DEFINITION.name and gateway_api.is_settled(current)):
        return None
    if obj["kind"] == "ServiceCIDR":
        return _with_second_family(obj, current)
    if annotations.get(_AUTOUPDATE) == "false" or annotations.get(flowcontrol.AUTO_UPDATE) == "false":
        return None
    if flowcontrol.AUTO_UPDATE in annotations_of(obj):
        return _flow_control(obj, current)
    return obj | _with_extra_grants(obj, current)


def _with_second_family(obj: Object, current: Object) -> Object | None:
    """Nothing else of a ServiceCIDR may change; source: pkg/controlplane/controller/defaultservicecidr."""
    wanted, has = obj["spec"]["cidrs"], current["spec"]["cidrs"]
    return {"spec": {"cidrs": wanted}} if len(has) == 1 and wanted[:1] == has and wanted != has else None


def _flow_control(obj: Object, current: Object) -> Object:
    """Source: registry/flowcontrol/ensurer. What somebody changed without saying so becomes theirs."""
    if flowcontrol.AUTO_UPDATE not in annotations_of(current) and current["metadata"].get("generation", 1) != 1:
        return {"metadata": {"annotations": {flowcontrol.AUTO_UPDATE: "false"}}}
    return {**obj, "spec": {name: value for name, value in obj["spec"].items() if name != "exempt"}}


def _with_extra_grants(wanted: Object, current: Object) -> Object:
    """The grants of both, in the order they have now, so that an unchanged object stays unchanged."""
    merged: Object = {}
    for field in _GRANTS:
        if field in wanted:
            has = current.get(field) or []
            merged[field] = [*has, *(grant for grant in wanted[field] if grant not in has)]
    return merged


def kind_of(obj: Object) -> Kind:
    """Raises: NotFound."""
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = kinds.by_kind(group, version, obj["kind"])
    if kind is None:
        raise NotFound(group, obj["kind"], obj["metadata"]["name"])
    return kind
