"""The CustomResourceDefinitions of the Gateway API, standard channel, out of `gateway_api.json`.

That has each kind once, however many versions serve it, and what recurs once, under a name that `$ref` says. A cluster
whose definitions are another's, or of another channel, keeps them: ours tell themselves by their version.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from pylet.api.object import Object, annotations_of

_GROUP = "gateway.networking.k8s.io"
_VERSION = f"{_GROUP}/bundle-version"
_MARK = "+pylet"
VERSION = f"v1.6.1{_MARK}"
_KINDS = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
_COMMON = {"apiVersion": "string", "kind": "string", "metadata": "object"}
NAMES = tuple(f"{plural}.{_GROUP}" for plural in _KINDS)


def definitions() -> list[Object]:
    data = orjson.loads(Path(__file__).with_suffix(".json").read_bytes())
    return [_definition(kind, said, data["definitions"]) for kind, said in data["kinds"].items()]


def is_settled(definition: Object | None) -> bool:
    """Whether that definition of the cluster is to be left alone: as it shall be, or somebody else's."""
    version = annotations_of(definition).get(_VERSION, "") if definition is not None else ""
    return definition is not None and (version == VERSION or not version.endswith(_MARK))


def _definition(kind: str, said: Object, shared: Mapping[str, Any]) -> Object:
    schema = _expanded(said["schema"], shared)
    schema["properties"] |= {name: {"type": type_} for name, type_ in _COMMON.items()}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": said["plural"], "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{said['plural']}.{_GROUP}",
            "annotations": {
                "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/4530",
                _VERSION: VERSION,
                f"{_GROUP}/channel": "standard",
            },
        },
        "spec": {
            "group": _GROUP,
            "names": {**names, "categories": ["gateway-api"], "shortNames": said["shortNames"]},
            "scope": said["scope"],
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == said["stored"],
                    "schema": {"openAPIV3Schema": schema},
                    "additionalPrinterColumns": said["columns"],
                    **({"subresources": {"status": {}}} if said["status"] else {}),
                }
                for version in said["versions"]
            ],
        },
    }


def _expanded(value: Any, shared: Mapping[str, Any]) -> Any:
    match value:
        case {"$ref": name}:
            return _expanded(shared[name], shared)
        case dict():
            return {key: _expanded(item, shared) for key, item in value.items()}
        case list():
            return [_expanded(item, shared) for item in value]
    return value
