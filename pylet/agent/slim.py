"""What a node keeps of objects of which a cluster has many: the fields that its parts read, and no more. Pure."""

from __future__ import annotations

from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Object

_META = {"name", "namespace", "uid", "resourceVersion", "labels", "annotations"}
_NOTES = {"kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time"}
_ENDPOINT = {"addresses", "conditions", "hostname", "nodeName", "hints", "targetRef"}
_TARGET = {"kind", "namespace", "name"}


def service(obj: Object) -> Object:
    return {**obj, "metadata": _metadata(obj["metadata"])}


def endpoint_slice(obj: Object) -> Object:
    return {**service(obj), "endpoints": [_endpoint(endpoint) for endpoint in obj.get("endpoints") or ()]}


SLIM = {SERVICE: service, ENDPOINT_SLICE: endpoint_slice}


def _metadata(meta: Object) -> Object:
    kept = {name: value for name, value in meta.items() if name in _META}
    if notes := kept.pop("annotations", None):
        kept["annotations"] = {name: value for name, value in notes.items() if name not in _NOTES}
    return kept


def _endpoint(endpoint: Object) -> Object:
    kept = {name: value for name, value in endpoint.items() if name in _ENDPOINT}
    if target := kept.get("targetRef"):
        kept["targetRef"] = {name: value for name, value in target.items() if name in _TARGET}
    return kept
