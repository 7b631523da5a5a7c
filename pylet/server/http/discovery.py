"""What is served, told to clients: the classic documents of each group and version, and the aggregated ones.

All are made of the kinds when first asked for and kept as bytes with their ETag, until kinds come or go.
Source: apiserver pkg/endpoints/discovery.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import orjson

from pylet.api.crd.versions import priority
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.wire.accept import clauses
from pylet.server.addons import api_services
from pylet.server.http import representation
from pylet.server.http.allowed import body_kind, verbs_of
from pylet.server.http.negotiation import JSON_TYPE, accepted

if TYPE_CHECKING:
    from pylet.api.schema.operations import Subresource

_AGGREGATED = "apidiscovery.k8s.io"
_AGGREGATED_TYPE = f"{JSON_TYPE};g={_AGGREGATED};v=v2;as=APIGroupDiscoveryList"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_CUSTOM_PRIORITY, _CUSTOM_VERSION, _OWN_VERSION = 1000, 100, 15
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_STORED_VERSIONS = {
    "CustomResourceDefinition": "v1beta1",
    "MutatingAdmissionPolicy": "v1beta1",
    "MutatingAdmissionPolicyBinding": "v1beta1",
}
"""Where upstream still stores another version than the newest, which the hash of it tells."""
_CONNECTED = {
    "attach": ("PodAttachOptions", ("create", "get")),
    "exec": ("PodExecOptions", ("create", "get")),
    "portforward": ("PodPortForwardOptions", ("create", "get")),
    "log": ("Pod", ("get",)),
    "proxy": ("{}ProxyOptions", ("create", "delete", "get", "patch", "update")),
}


class Kinds(Protocol):
    """The kinds served now; `generation` counts their changes."""

    generation: int

    def __iter__(self) -> Iterator[Kind]: ...

    def has_built_in(self, group: str) -> bool: ...


class Extension(Protocol):
    """A group and version another server serves; `resources` as aggregated discovery shows them, `priorities` the
    group's and the version's."""

    is_available: bool
    resources: list[Object]

    @property
    def priorities(self) -> tuple[int, int]: ...


class Remote(Protocol):
    """What other servers serve; `generation` counts the changes."""

    generation: int

    def __iter__(self) -> Iterator[tuple[str, str, Extension]]: ...


class Discovery:
    """`address` is where clients reach the server (`host:port`), for the legacy group's document."""

    def __init__(self, kinds: Kinds, address: str, extensions: Remote | None = None) -> None:
        self._served = kinds
        self._extensions = extensions
        self._address = address
        self._generation = (-1, -1)
        self._remote: dict[tuple[str, str], Extension] = {}
        self._kinds: list[Kind] = []
        self._built_in: set[tuple[str, str]] = set()
        self._groups: dict[str, list[str]] = {}
        self._made: dict[str, tuple[bytes, str]] = {}

    def document(self, path: str, accept: str) -> tuple[bytes, str, str] | None:
        """Body, content type and ETag for a discovery path; None when it is none. Raises: NotAcceptable."""
        self._refresh()
        parts = [part for part in path.split("/") if part]
        if parts in (["api"], ["apis"]) and _wants_aggregated(accept):
            name = f"{parts[0]} aggregated"  # not the path, which may have any number of slashes
            if name not in self._made:
                self._keep(name, orjson.dumps(self._aggregate(parts[0])))
            body, tag = self._made[name]
            return body, _AGGREGATED_TYPE, tag
        found = self._classic(parts)
        if found is None:
            return None
        media = accepted(accept, shapes=False)
        name = f"{'/'.join(parts)} {media}"
        if name not in self._made:
            self._keep(name, representation.encoded(orjson.dumps(found), media, definition=_META + found["kind"]))
        body, tag = self._made[name]
        return body, media.type, tag

    def serves(self, group: str, version: str) -> bool:
        """Whether a version has a document: the ways into a group of built-in kinds lead to them alone."""
        self._refresh()
        if (group, version) in self._built_in:
            return True
        return version in self._groups.get(group, ()) and not self._served.has_built_in(group)

    def _refresh(self) -> None:
        generation = self._served.generation, self._extensions.generation if self._extensions is not None else 0
        if self._generation == generation:
            return
        self._generation = generation
        self._made.clear()
        served = [kind for kind in self._served if kind.verbs]
        self._built_in = {(kind.group, kind.version) for kind in served if kind.schema is None}
        self._kinds = [
            kind for kind in served if (kind.schema is None) == ((kind.group, kind.version) in self._built_in)
        ]
        self._remote = {(group, version): found for group, version, found in self._extensions or ()}
        priorities = {(kind.group, kind.version): _priorities(kind) for kind in self._kinds}
        self._groups = _ordered(priorities | {which: found.priorities for which, found in self._remote.items()})

    def _keep(self, name: str, body: bytes) -> None:
        self._made[name] = body, f'"{hashlib.sha512(body).hexdigest().upper()}"'

    def _classic(self, parts: list[str]) -> Object | None:
        match parts:
            case ["api"]:
                address = {"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}
            case ["apis"]:
                return {
                    "kind": "APIGroupList",
                    "apiVersion": "v1",
                    "groups": [_group(*g) for g in self._groups.items() if g[0]],
                }
            case ["api", version] if self.serves("", version):
                return self._resources("", version)
            case ["apis", group] if group in self._groups:
                return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, self._groups[group])}
            case ["apis", group, version] if group and self.serves(group, version):
                return self._resources(group, version)
        return None

    def _resources(self, group: str, version: str) -> Object:
        found: list[Object] = []
        for kind in self._of(group, version):
            entry: Object = {
                "name": kind.plural,
                "singularName": kind.singular,
                "namespaced": kind.namespaced,
                "kind": kind.name,
                "verbs": _verbs(kind),
            }
            if kind.short_names:
                entry["shortNames"] = list(kind.short_names)
            if kind.categories:
                entry["categories"] = list(kind.categories)
            if "watch" in kind.verbs:
                entry["storageVersionHash"] = _storage_hash(kind)
            found.append(entry)
            for sub in _subresources(kind):
                of_kind, gv, verbs = _subresource(kind, sub)
                entry = {"name": f"{kind.plural}/{sub}", "singularName": "", "namespaced": kind.namespaced}
                if gv != (kind.group, kind.version):
                    entry |= {"group": gv[0], "version": gv[1]}
                found.append({**entry, "kind": of_kind, "verbs": sorted(verbs)})
        head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}"}
        return {**(head if group else {"kind": head["kind"], "groupVersion": version}), "resources": found}

    def _of(self, group: str, version: str) -> list[Kind]:
        found = [kind for kind in self._kinds if (kind.group, kind.version) == (group, version)]
        return sorted(found, key=lambda kind: kind.plural)

    def _aggregate(self, root: str) -> Object:
        groups = {group: found for group, found in self._groups.items() if (root == "apis") == bool(group)}
        items = [
            {
                "metadata": {"name": group} if group else {},
                "versions": [self._version(group, version) for version in versions],
            }
            for group, versions in groups.items()
        ]
        return {"kind": "APIGroupDiscoveryList", "apiVersion": f"{_AGGREGATED}/v2", "metadata": {}, "items": items}

    def _version(self, group: str, version: str) -> Object:
        remote = self._remote.get((group, version))
        if remote is None:
            resources = [_aggregated(kind) for kind in self._of(group, version)]
            return {"version": version, "resources": resources, "freshness": "Current"}
        freshness = "Current" if remote.is_available else "Stale"
        known = {"resources": remote.resources} if remote.resources else {}
        return {"version": version, **known, "freshness": freshness}


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


def subresources_of(kind: Kind) -> list[Subresource]:
    """As OpenAPI describes them."""
    from pylet.api.schema import operations

    found = []
    for name in _subresources(kind):
        of, (group, version), verbs = _subresource(kind, name)
        connects = name in _CONNECTED and name != "log"
        definition = "" if name in _CONNECTED else operations.definition_of(body_kind(kind, name))
        found.append(operations.Subresource(name, group, version, of, definition, verbs, connects))
    return found


def _aggregated(kind: Kind) -> Object:
    entry: Object = {
        "resource": kind.plural,
        "responseKind": _response(kind, (kind.group, kind.version), kind.name),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": _verbs(kind),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [_aggregated_subresource(kind, sub) for sub in _subresources(kind)]
    return entry


def _aggregated_subresource(kind: Kind, sub: str) -> Object:
    name, of, verbs = _subresource(kind, sub)
    return {
        "subresource": sub,
        "responseKind": _response(kind, of, name),
        "verbs": sorted(verbs),
    }


def _response(kind: Kind, of: tuple[str, str], name: str) -> Object:
    """Built-in kinds leave out a group and version that are the resource's own."""
    group, version = ("", "") if of == (kind.group, kind.version) and kind.schema is None else of
    return {"group": group, "version": version, "kind": name}


def _verbs(kind: Kind) -> list[str]:
    return sorted(kind.verbs) if kind.schema is None else [verb for verb in _CUSTOM_VERBS if verb in kind.verbs]


def _subresources(kind: Kind) -> list[str]:
    return sorted(kind.subresources) if kind.schema is None else list(kind.subresources)


def _storage_hash(kind: Kind) -> str:
    stored = kind.stored_as or kind
    version = _STORED_VERSIONS.get(kind.name, stored.version) if stored.storage is None else stored.storage.version
    text = f"{stored.group}/{version}/{stored.name}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _priorities(kind: Kind) -> tuple[int, int]:
    version = _OWN_VERSION if kind.schema is None else _CUSTOM_VERSION
    return api_services.PRIORITIES.get(kind.group, _CUSTOM_PRIORITY), version


def _ordered(priorities: Mapping[tuple[str, str], tuple[int, int]]) -> dict[str, list[str]]:
    """Groups by the highest priority that one of their versions gives them, then by name; versions by their own, then
    the newest first. Source: apiserver pkg/endpoints/discovery/aggregated, calculateAPIGroupsLocked."""
    highest: dict[str, int] = {}
    versions: dict[str, list[tuple[int, str]]] = {}
    for (group, version), (of_group, of_version) in priorities.items():
        highest[group] = max(of_group, highest.get(group, 0))
        versions.setdefault(group, []).append((of_version, version))
    return {
        group: [name for _, name in sorted(versions[group], key=lambda one: (one[0], priority(one[1])), reverse=True)]
        for group in sorted(versions, key=lambda group: (-highest[group], group))
    }
