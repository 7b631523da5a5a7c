"""What can be done on which path, in the words of OpenAPI, whatever its version: made of the kinds that are served.

Source: apiserver pkg/endpoints/installer.go (names, parameters, answers of operations), api/openapi-spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.schema.definitions import is_published
from pylet.api.schema.parameters import (
    CONNECT,
    DELETE,
    DELETE_MANY,
    LIST,
    LOG,
    NAMESPACE,
    PATCH,
    PRETTY,
    WRITE,
    Parameter,
)

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
JSON, PROTOBUF = "application/json", "application/vnd.kubernetes.protobuf"
ENCODED = (JSON, "application/yaml", PROTOBUF)
_CUSTOM_ENCODED = ENCODED[:2]
_STREAMED = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_ANY = ("*/*",)
_DEPRECATED = "deprecated: use the 'watch' parameter with a list operation instead"


class Subresource(NamedTuple):
    """`definition` of what it takes and answers, "" for text; `connects` where a stream is opened."""

    name: str
    group: str
    version: str
    kind: str
    definition: str
    verbs: tuple[str, ...]
    connects: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """`answers` are codes with the definition of their bodies, "" for text and None for nothing."""

    id: str
    text: str
    tag: str
    answers: tuple[tuple[int, str | None], ...]
    action: str = ""
    gvk: tuple[str, str, str] | None = None
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    takes: tuple[str, ...] = _ANY
    gives: tuple[str, ...] = ENCODED
    requires_body: bool = True


Paths = dict[str, dict[str, Operation]]
"""Operations by path and method."""


_CONNECT_METHODS = {"create": "post", "delete": "delete", "get": "get", "patch": "patch", "update": "put"}
_PROXY_METHODS = ("delete", "get", "head", "options", "patch", "post", "put")


def definition_of(kind: Kind) -> str:
    """The name of a kind's schema; custom ones have their group's name turned round, and take none that is given."""
    return kind.definition or _custom(kind, kind.name)


def list_definition_of(kind: Kind) -> str:
    return f"{kind.definition}List" if kind.definition else _custom(kind, kind.list_kind)


def _custom(kind: Kind, name: str) -> str:
    full = ".".join([*reversed(kind.group.split(".")), kind.version, name])
    return f"{full}_v2" if is_published(full) else full


def paths_of(
    kinds: Iterable[Kind],
    subresources: Callable[[Kind], Iterable[Subresource]],
    answers_deleted: Callable[[Kind], bool],
) -> Paths:
    """All paths of these kinds."""
    found: Paths = {}
    for kind in kinds:
        for path, method, operation in _Of(kind, answers_deleted(kind)).all(subresources(kind)):
            found.setdefault(path, {})[method] = operation
    return found


def group_path(group: str) -> Paths:
    get = Operation(
        f"get{_camel(group)}APIGroup", "get information of a group", _tag(group), _ok(f"{META}APIGroup"), takes=ENCODED
    )
    return {f"/apis/{group}/": {"get": get}}


def version_path(group: str, version: str) -> Paths:
    """The document of a group's version."""
    get = Operation(
        f"get{_camel(group)}{version.capitalize()}APIResources",
        "get available resources",
        f"{_tag(group)}_{version}",
        _ok(f"{META}APIResourceList"),
        takes=ENCODED,
    )
    return {(f"/apis/{group}/{version}/" if group else f"/api/{version}/"): {"get": get}}


ROOT_PATHS: dict[str, Paths] = {
    "api": {
        "/api/": {
            "get": Operation(
                "getCoreAPIVersions",
                "get available API versions",
                "core",
                ((200, f"{META}APIVersions"), (401, None)),
                takes=ENCODED,
            )
        }
    },
    "apis": {
        "/apis/": {
            "get": Operation(
                "getAPIVersions",
                "get available API versions",
                "apis",
                ((200, f"{META}APIGroupList"), (401, None)),
                takes=ENCODED,
            )
        }
    },
    "version": {
        "/version/": {
            "get": Operation(
                "getCodeVersion",
                "get the version information for this server",
                "version",
                ((200, "io.k8s.apimachinery.pkg.version.Info"), (401, None)),
                takes=(JSON,),
                gives=(JSON,),
            )
        }
    },
    ".well-known/openid-configuration": {
        "/.well-known/openid-configuration/": {
            "get": Operation(
                "getServiceAccountIssuerOpenIDConfiguration",
                "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
                "WellKnown",
                ((200, ""), (401, None)),
                gives=(JSON,),
            )
        }
    },
    "openid/v1/jwks": {
        "/openid/v1/jwks/": {
            "get": Operation(
                "getServiceAccountIssuerOpenIDKeyset",
                "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
                "openid",
                ((200, ""), (401, None)),
                gives=("application/jwk-set+json",),
            )
        }
    },
}


class _Of:
    """The operations on one kind."""

    def __init__(self, kind: Kind, answers_deleted: bool) -> None:
        self._kind = kind
        self._definition, self._list = definition_of(kind), list_definition_of(kind)
        self._deleted = self._definition if answers_deleted else f"{META}Status"
        self._prefix = f"{_camel(kind.group)}{kind.version.capitalize()}"
        self._scope = "Namespaced" if kind.namespaced else ""
        self._gives = ENCODED if kind.definition else _CUSTOM_ENCODED
        self._place = (*((NAMESPACE,) if kind.namespaced else ()), PRETTY)

    def all(self, subresources: Iterable[Subresource]) -> Iterator[tuple[str, str, Operation]]:
        many = self._kind.path("{namespace}")
        one = f"{many}/{{name}}"
        yield from ((many, method, operation) for method, operation in self._many())
        yield from ((one, method, operation) for method, operation in self._one())
        if "list" in self._kind.verbs and self._kind.namespaced:
            place = (PRETTY,)
            yield self._kind.path(), "get", self._listed(f"list{self._prefix}{self._kind.name}ForAllNamespaces", place)
        if "watch" in self._kind.verbs and self._kind.definition:
            yield from self._watches(many, one)
        for sub in subresources:
            yield from self._subresource(f"{one}/{sub.name}", sub)

    def _many(self) -> Iterator[tuple[str, Operation]]:
        kind, name, verbs = self._kind, self._kind.name, self._kind.verbs
        if "list" in verbs:
            yield "get", self._listed(f"list{self._prefix}{self._scope}{name}", self._place)
        if "create" in verbs:
            answers = tuple((code, self._definition) for code in (200, 201, 202))
            operation = self._made("create", "", f"create {_one(name)}", "post", answers)
            yield "post", replace(operation, body=self._definition, parameters=(*WRITE, *self._place))
        if "deletecollection" in verbs:
            yield (
                "delete",
                Operation(
                    f"delete{self._prefix}Collection{self._scope}{name}",
                    f"delete collection of {name}",
                    self._tag,
                    _ok(f"{META}Status"),
                    "deletecollection",
                    (kind.group, kind.version, name),
                    (*DELETE_MANY, *self._place),
                    f"{META}DeleteOptions",
                    gives=self._gives,
                    requires_body=False,
                ),
            )

    def _one(self) -> Iterator[tuple[str, Operation]]:
        name, verbs = self._kind.name, self._kind.verbs
        place = (Parameter("name", place="path", text=f"The name of the {name}."), *self._place)
        yield from self._changed(verbs, "", "", self._definition, place)
        if "delete" in verbs:
            answers = ((200, self._deleted), (202, self._deleted))
            operation = self._made("delete", "", f"delete {_one(name)}", "delete", answers)
            yield (
                "delete",
                replace(operation, parameters=(*DELETE, *place), body=f"{META}DeleteOptions", requires_body=False),
            )

    def _changed(
        self, verbs: Iterable[str], sub: str, of: str, definition: str, place: tuple[Parameter, ...]
    ) -> Iterator[tuple[str, Operation]]:
        """Reading, replacing and patching one object or its subresource `sub`; `of` begins their descriptions."""
        name = self._kind.name
        if "get" in verbs:
            operation = self._made("read", sub, f"read {of}the specified {name}", "get", ((200, definition),))
            yield "get", replace(operation, parameters=place)
        written = ((200, definition), (201, definition))
        if "update" in verbs:
            operation = self._made("replace", sub, f"replace {of}the specified {name}", "put", written)
            yield "put", replace(operation, parameters=(*WRITE, *place), body=definition)
        if "patch" in verbs:
            operation = self._made("patch", sub, f"partially update {of}the specified {name}", "patch", written)
            patches = (
                _PATCHES if self._kind.definition else tuple(type_ for type_ in _PATCHES if "strategic" not in type_)
            )
            yield "patch", replace(operation, parameters=(*PATCH, *place), body=f"{META}Patch", takes=patches)

    def _subresource(self, path: str, sub: Subresource) -> Iterator[tuple[str, str, Operation]]:
        kind, camel = self._kind, sub.name.capitalize()
        place = (Parameter("name", place="path", text=f"The name of the {sub.kind}."), *self._place)
        gvk = (sub.group, sub.version, sub.kind)
        if sub.connects:
            yield from self._connections(path, sub, place[:-1], gvk)
            return
        if sub.name == "log":
            operation = self._made("read", "Log", f"read log of the specified {kind.name}", "get", ((200, ""),))
            yield path, "get", replace(operation, parameters=(*LOG, *place), gives=("text/plain", *self._gives))
            return
        for method, operation in self._changed(sub.verbs, camel, f"{sub.name} of ", sub.definition, place):
            yield path, method, replace(operation, gvk=gvk)
        if "create" in sub.verbs:
            answers = tuple((code, sub.definition) for code in (200, 201, 202))
            text = f"create {sub.name} of {_one(kind.name)}"
            operation = self._made("create", camel, text, "post", answers)
            yield path, "post", replace(operation, gvk=gvk, body=sub.definition, parameters=(*WRITE, *place))

    def _connections(
        self, path: str, sub: Subresource, place: tuple[Parameter, ...], gvk: tuple[str, str, str]
    ) -> Iterator[tuple[str, str, Operation]]:
        name, camel = self._kind.name, sub.name.capitalize()
        is_proxy = sub.name == "proxy"
        methods = _PROXY_METHODS if is_proxy else sorted(_CONNECT_METHODS[verb] for verb in sub.verbs)
        behind = Parameter("path", place="path", text="The path to ask behind the proxy.")
        for method in methods:
            operation = Operation(
                f"connect{self._prefix}{method.capitalize()}{self._scope}{name}{camel}",
                f"connect {method.upper()} requests to {sub.name} of {name}",
                self._tag,
                _ok(""),
                "connect",
                gvk,
                (*CONNECT[sub.name], *place),
                gives=_ANY,
            )
            yield path, method, operation
            if is_proxy:
                longer = (behind, *CONNECT[sub.name], *place)
                yield f"{path}/{{path}}", method, replace(operation, id=f"{operation.id}WithPath", parameters=longer)

    def _watches(self, many: str, one: str) -> Iterator[tuple[str, str, Operation]]:
        kind, name = self._kind, self._kind.name
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        base = Operation(
            f"watch{self._prefix}{self._scope}{name}List",
            f"watch individual changes to a list of {name}. {_DEPRECATED}.",
            self._tag,
            _ok(f"{META}WatchEvent"),
            "watchlist",
            (kind.group, kind.version, name),
            (*LIST, *self._place),
            gives=(*self._gives, *_STREAMED),
        )
        yield many.replace(root, f"{root}/watch"), "get", base
        if kind.namespaced:
            everywhere = replace(base, id=f"watch{self._prefix}{name}ListForAllNamespaces", parameters=(*LIST, PRETTY))
            yield kind.path().replace(root, f"{root}/watch"), "get", everywhere
        single = replace(
            base,
            id=f"watch{self._prefix}{self._scope}{name}",
            text=f"watch changes to an object of kind {name}. {_DEPRECATED}, filtered to a single item "
            "with the 'fieldSelector' parameter.",
            action="watch",
            parameters=(Parameter("name", place="path", text=f"The name of the {name}."), *LIST, *self._place),
        )
        yield one.replace(root, f"{root}/watch"), "get", single

    def _listed(self, id_: str, place: tuple[Parameter, ...]) -> Operation:
        kind = self._kind
        gives = (*self._gives, *_STREAMED) if kind.definition else self._gives
        verb = "list or watch" if "watch" in kind.verbs and kind.definition else "list"
        text = f"{verb} objects of kind {kind.name}"
        gvk = (kind.group, kind.version, kind.name)
        return Operation(id_, text, self._tag, _ok(self._list), "list", gvk, (*LIST, *place), gives=gives)

    def _made(
        self, verb: str, sub: str, text: str, action: str, answers: tuple[tuple[int, str | None], ...]
    ) -> Operation:
        kind = self._kind
        return Operation(
            f"{verb}{self._prefix}{self._scope}{kind.name}{sub}",
            text,
            self._tag,
            (*answers, (401, None)),
            action,
            (kind.group, kind.version, kind.name),
            gives=self._gives,
        )

    @property
    def _tag(self) -> str:
        return f"{_tag(self._kind.group)}_{self._kind.version}"


def shared(operations: dict[str, Operation]) -> tuple[Parameter, ...]:
    """The parameters all operations of a path have, which are told once."""
    first, *others = operations.values()
    found = [p for p in first.parameters if all(p in other.parameters for other in others)]
    return tuple(sorted(set(found), key=lambda p: (p.place, p.name)))


def root_of(group: str, version: str = "") -> str:
    """The name of a document: `apis/apps/v1`, `api/v1`, `apis/apps`."""
    return "/".join(filter(None, ("apis" if group else "api", group, version)))


def group_version_kind(gvk: tuple[str, str, str]) -> Object:
    return {"group": gvk[0], "version": gvk[1], "kind": gvk[2]}


def _ok(definition: str) -> tuple[tuple[int, str | None], ...]:
    return (200, definition), (401, None)


def _tag(group: str) -> str:
    camel = _camel(group)
    return camel[:1].lower() + camel[1:]


def _camel(group: str) -> str:
    """`rbac.authorization.k8s.io` is RbacAuthorization."""
    return "".join(part.capitalize() for part in (group or "core").removesuffix(".k8s.io").replace("-", ".").split("."))


def _one(noun: str) -> str:
    """With its article; what is many has none."""
    if noun.endswith("s") and not noun.endswith("ss"):
        return noun
    return f"{'an' if noun[:1] in 'AEIOU' else 'a'} {noun}"
