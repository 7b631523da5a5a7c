"""metrics.k8s.io as OpenAPI tells of it: the kinds as if somebody had defined them, which can be read and no more."""

from __future__ import annotations

from dataclasses import replace

import orjson

from pylet.api.crd.kinds import kinds_of
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.server.usage.objects import GROUP, VERSION

_USAGE: Object = {
    "description": "What is used of each resource.",
    "type": "object",
    "additionalProperties": {"type": "string"},
}
_CONTAINER: Object = {
    "description": "What one container uses.",
    "type": "object",
    "required": ["name", "usage"],
    "properties": {"name": {"description": "The container's name.", "type": "string"}, "usage": _USAGE},
}
_TIMES: Object = {
    "timestamp": {"description": "When the window ended.", "type": "string", "format": "date-time"},
    "window": {"description": "Over how long it was measured.", "type": "string"},
}
_NODE: Object = {**_TIMES, "usage": _USAGE}
_POD: Object = {
    **_TIMES,
    "containers": {"description": "Of each container.", "type": "array", "items": _CONTAINER},
}


def kinds() -> list[Kind]:
    return [
        _kind("NodeMetrics", "nodes", "Cluster", "What a node uses.", _NODE),
        _kind("PodMetrics", "pods", "Namespaced", "What a pod's containers use.", _POD),
    ]


def _kind(name: str, plural: str, scope: str, says: str, fields: Object) -> Kind:
    schema = {"description": says, "type": "object", "required": sorted(fields), "properties": fields}
    version = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": name, "plural": plural, "listKind": f"{name}List"}
    definition = {
        "spec": {"group": GROUP, "scope": scope, "versions": [version]},
        "status": {"acceptedNames": names},
    }
    (kind,) = kinds_of(orjson.dumps(definition))
    return replace(kind, verbs=("get", "list"), definition=f"io.k8s.metrics.pkg.apis.metrics.{VERSION}.{name}")
