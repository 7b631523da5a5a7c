"""What a node keeps of objects of which a cluster has many: the fields that its parts read, and no more. Pure.

What says only what its absence says as well is left out too: half of a Service's JSON, a third of a slice's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pylet.api import clusterdns
from pylet.api.backends import SERVICE_NAME
from pylet.api.kind import Kind
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Object, key_of

_META = {"name", "namespace", "resourceVersion"}
_LABELS = {SERVICE_NAME, "service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"}
_SPEC = {
    "type",
    "clusterIP",
    "clusterIPs",
    "ports",
    "externalName",
    "externalIPs",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "healthCheckNodePort",
    "loadBalancerSourceRanges",
    "publishNotReadyAddresses",
    "sessionAffinity",
    "sessionAffinityConfig",
}
_USUAL = {
    "type": "ClusterIP",
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "sessionAffinity": "None",
}
_PORT = {"name", "protocol", "port", "nodePort", "appProtocol"}
_SLICE = {"addressType", "ports"}
_ENDPOINT = {"addresses", "conditions", "hostname", "nodeName", "hints"}
_TARGET = {"kind", "namespace", "name"}
_FINE = {"ready": True, "serving": True, "terminating": False}


def slim(node: str) -> Mapping[Kind, Callable[[Object], Object]]:
    """For the node of that name."""
    return {SERVICE: service, ENDPOINT_SLICE: partial(endpoint_slice, node)}


def service(obj: Object) -> Object:
    spec = {name: value for name, value in obj["spec"].items() if name in _SPEC and value != _USUAL.get(name)}
    if ports := spec.get("ports"):
        spec["ports"] = [_only(_PORT, port) for port in ports]
    if key_of(obj) == clusterdns.SERVICE:
        spec["selector"] = obj["spec"].get("selector")  # of the others the server makes slices
    status = {name: value for name, value in (obj.get("status") or {}).items() if value}
    return {"metadata": _metadata(obj["metadata"]), "spec": spec, **({"status": status} if status else {})}


def endpoint_slice(node: str, obj: Object) -> Object:
    endpoints = [_endpoint(node, endpoint) for endpoint in obj.get("endpoints") or ()]
    return {"metadata": _metadata(obj["metadata"]), **_only(_SLICE, obj), "endpoints": endpoints}


def _metadata(meta: Object) -> Object:
    kept = _only(_META, meta)
    if labels := _only(_LABELS, meta.get("labels") or {}):
        kept["labels"] = labels
    return kept


def _endpoint(node: str, endpoint: Object) -> Object:
    kept = _only(_ENDPOINT, endpoint)
    if _FINE | (kept.get("conditions") or {}) == _FINE:
        kept.pop("conditions", None)
    # Which pod it is interests the pod's own node, when the server cannot be told of another address.
    if (target := endpoint.get("targetRef")) and endpoint.get("nodeName") == node:
        kept["targetRef"] = _only(_TARGET, target)
    return kept


def _only(names: set[str], obj: Object) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name in names}
