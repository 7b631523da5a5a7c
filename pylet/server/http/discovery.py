"""What is served, told to clients: the classic documents of each group and version, and the aggregated ones.

All are made of the kinds when first asked for and kept as bytes with their ETag.
Source: apiserver pkg/endpoints/discovery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property

import orjson

from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.server.http.negotiation import JSON_TYPE, clauses
from pylet.server.http.resources import body_kind, verbs_of

_AGGREGATED = "apidiscovery.k8s.io"
_AGGREGATED_TYPE = f"{JSON_TYPE};g={_AGGREGATED};v=v2;as=APIGroupDiscoveryList"
_CONNECTED = {
    "attach": ("PodAttachOptions", ("create", "get")),
    "exec": ("PodExecOptions", ("create", "get")),
    "portforward": ("PodPortForwardOptions", ("create", "get")),
    "log": ("Pod", ("get",)),
    "proxy": ("{}ProxyOptions", ("create", "delete", "get", "patch", "update")),
}


class Discovery:
    """`address` is where clients reach the server (`host:port`), for the legacy group's document."""

    def __init__(self, kinds: Iterable[Kind], address: str) -> None:
        self._kinds = [kind for kind in kinds if kind.verbs]
        self._address = address
        self._made: dict[str, tuple[bytes, str]] = {}

    def document(self, path: str, accept: str) -> tuple[bytes, str, str] | None:
        """Body, content type and ETag for a discovery path; None when it is none."""
        parts = [part for part in path.split("/") if part]
        if len(parts) == 1 and _wants_aggregated(accept):
            body, tag = self._kept(f"{path} aggregated", self._aggregate(parts[0]))
            return body, _AGGREGATED_TYPE, tag
        found = self._classic(parts)
        if found is None:
            return None
        body, tag = self._kept(path, found)
        return body, JSON_TYPE, tag

    def serves(self, group: str, version: str) -> bool:
        return any((kind.group, kind.version) == (group, version) for kind in self._kinds)

    def _kept(self, name: str, document: Object) -> tuple[bytes, str]:
        if name not in self._made:
            body = orjson.dumps(document)
            self._made[name] = body, f'"{hashlib.sha256(body).hexdigest().upper()}"'
        return self._made[name]

    def _classic(self, parts: list[str]) -> Object | None:
        match parts:
            case ["api"]:
                address = {"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}
            case ["apis"]:
                return {
                    "kind": "APIGroupList",
                    "apiVersion": "v1",
                    "groups": [_group(*g) for g in self._groups.items()],
                }
            case ["api", version] if self.serves("", version):
                return self._resources("", version)
            case ["apis", group] if group in self._groups:
                return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, self._groups[group])}
            case ["apis", group, version] if group and self.serves(group, version):
                return self._resources(group, version)
        return None

    @cached_property
    def _groups(self) -> dict[str, list[str]]:
        """Named groups and their versions, the preferred one first."""
        found: dict[str, list[str]] = {}
        for kind in self._kinds:
            versions = found.setdefault(kind.group, [])
            if kind.version not in versions:
                versions.append(kind.version)
        found.pop("", None)
        return {group: sorted(versions, key=_age) for group, versions in sorted(found.items())}

    def _resources(self, group: str, version: str) -> Object:
        found: list[Object] = []
        for kind in self._of(group, version):
            entry: Object = {
                "name": kind.plural,
                "singularName": kind.singular,
                "namespaced": kind.namespaced,
                "kind": kind.name,
                "verbs": sorted(kind.verbs),
            }
            if kind.short_names:
                entry["shortNames"] = list(kind.short_names)
            if kind.categories:
                entry["categories"] = list(kind.categories)
            if "get" in kind.verbs:
                entry["storageVersionHash"] = _storage_hash(kind)
            found.append(entry)
            for sub in sorted(kind.subresources):
                of_kind, gv, verbs = _subresource(kind, sub)
                entry = {"name": f"{kind.plural}/{sub}", "singularName": "", "namespaced": kind.namespaced}
                if gv != (kind.group, kind.version):
                    entry |= {"group": gv[0], "version": gv[1]}
                found.append({**entry, "kind": of_kind, "verbs": list(verbs)})
        api_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": found}

    def _of(self, group: str, version: str) -> list[Kind]:
        found = [kind for kind in self._kinds if (kind.group, kind.version) == (group, version)]
        return sorted(found, key=lambda kind: kind.plural)

    def _aggregate(self, root: str) -> Object:
        groups = {"": ["v1"]} if root == "api" else self._groups
        items = [
            {
                "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "resources": [_aggregated(kind) for kind in self._of(group, version)],
                        "freshness": "Current",
                    }
                    for version in versions
                ],
            }
            for group, versions in groups.items()
        ]
        return {"kind": "APIGroupDiscoveryList", "apiVersion": f"{_AGGREGATED}/v2", "metadata": {}, "items": items}


def _wants_aggregated(accept: str) -> bool:
    for clause in clauses(accept):
        if clause.type not in (JSON_TYPE, "*/*", "application/*"):
            continue
        wanted = clause.params
        if not wanted.get("as"):
            return False
        if (wanted.get("g"), wanted.get("v"), wanted["as"]) == (_AGGREGATED, "v2", "APIGroupDiscoveryList"):
            return True
    return False


def _group(group: str, versions: list[str]) -> Object:
    named = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": named, "preferredVersion": named[0]}


def _subresource(kind: Kind, sub: str) -> tuple[str, tuple[str, str], tuple[str, ...]]:
    if sub in _CONNECTED:
        name, verbs = _CONNECTED[sub]
        return name.format(kind.name), (kind.group, kind.version), verbs
    of = body_kind(kind, sub)
    return of.name, (of.group, of.version), verbs_of(kind, sub)


def _aggregated(kind: Kind) -> Object:
    entry: Object = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.name},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [_aggregated_subresource(kind, sub) for sub in sorted(kind.subresources)]
    return entry


def _aggregated_subresource(kind: Kind, sub: str) -> Object:
    name, (group, version), verbs = _subresource(kind, sub)
    return {
        "subresource": sub,
        "responseKind": {"group": group, "version": version, "kind": name},
        "verbs": list(verbs),
    }


def _storage_hash(kind: Kind) -> str:
    import base64

    stored = kind.stored_as or kind
    text = f"{stored.group}/{stored.version}/{stored.name}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _age(version: str) -> tuple[int, str]:
    """Stable versions before beta before alpha."""
    return (2 if "alpha" in version else 1 if "beta" in version else 0), version
