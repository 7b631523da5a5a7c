"""OpenAPI v3 as far as clients decide by it: which operations there are, on which kind, with which parameters.

kubectl looks here whether the server validates fields itself, and then leaves it to the server; `kubectl explain` reads
the schemas. Documents are made when asked for, one a group and version.
Source: cli-runtime pkg/resource/query_param_verifier_v3.go, kube-openapi pkg/handler3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.schema import openapi
from pylet.version import VERSION

_OPERATIONS = {
    "get": "get",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
    "create": "post",
    "list": "get",
    "deletecollection": "delete",
}
_ONE = ("get", "update", "patch", "delete")
_MANY = ("list", "create", "deletecollection")
_WRITES = ("create", "update", "patch")
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


class OpenApi:
    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds: dict[str, list[Kind]] = {}
        for kind in kinds:
            if kind.verbs:
                root = f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"
                self._kinds.setdefault(root, []).append(kind)

    def document(self, path: str) -> bytes | None:
        """The body for a path below /openapi/v3; None when there is none."""
        name = path.removeprefix("/openapi/v3").strip("/")
        if not name:
            return orjson.dumps({"paths": {root: {"serverRelativeURL": self._url(root)} for root in self._kinds}})
        if name not in self._kinds:
            return None
        paths: Object = {}
        for kind in self._kinds[name]:
            paths |= _paths(kind)
        return orjson.dumps(
            {
                "openapi": "3.0.0",
                "info": {"title": "Kubernetes", "version": VERSION},
                "paths": paths,
                "components": {"schemas": openapi.components(kind.definition for kind in self._kinds[name])},
            }
        )

    def _url(self, root: str) -> str:
        served = ",".join(f"{kind.name}:{kind.verbs}" for kind in self._kinds[root])
        return f"/openapi/v3/{root}?hash={hashlib.sha256(f'{VERSION} {served}'.encode()).hexdigest()[:32].upper()}"


def _paths(kind: Kind) -> Object:
    collection = kind.path("{namespace}") if kind.namespaced else kind.path()
    found = {
        collection: {_OPERATIONS[verb]: _operation(kind, verb) for verb in _MANY if verb in kind.verbs},
        f"{collection}/{{name}}": {_OPERATIONS[verb]: _operation(kind, verb) for verb in _ONE if verb in kind.verbs},
    }
    return {path: operations for path, operations in found.items() if operations}


def _operation(kind: Kind, verb: str) -> Object:
    names = _WRITE_PARAMETERS if verb in _WRITES else ()
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.name},
    }
