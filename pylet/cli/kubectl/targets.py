"""What `TYPE[,TYPE] NAME…`, `TYPE/NAME…` and `-f` select. Source: cli-runtime `pkg/resource/builder.go`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pylet.api.errors import BadRequest, NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.resources import Catalog, Resource
from pylet.cli.kubectl.session import Session

_PAGE = 500
NO_RESOURCE = """\
error: You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'"""


@dataclass(frozen=True, slots=True)
class Named:
    """One object."""

    resource: Resource
    name: str


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects of a resource that the selectors leave."""

    resource: Resource


Ask = Named | Listed


@dataclass(frozen=True, slots=True)
class Target:
    """One object on the server, fetched or about to be written; `source` says where it was asked for."""

    resource: Resource
    namespace: str
    name: str
    obj: Object
    source: str = ""

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace, self.name)

    @property
    def label(self) -> str:
        """`deployment.apps/web`."""
        return f"{self.resource.label}/{self.name}"

    @property
    def indexed(self) -> str:
        """`deployments/web`."""
        return f"{self.resource.plural}/{self.name}"


def parse(
    args: Sequence[str],
    catalog: Catalog,
    *,
    everything: bool = False,
    selecting: bool = False,
    all_namespaces: bool = False,
    single_type: bool = False,
) -> list[Ask]:
    """What the words ask for.

    `everything`: a type alone means all its objects; `selecting`: a selector or --all was given. Raises: Failure.
    """
    words = _spread(list(args))
    slashes = sum("/" in word for word in words)
    if slashes and slashes != len(words):
        raise Failure(
            "error: there is no need to specify a resource type as a separate argument when passing arguments in "
            "resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of "
            "'kubectl get resource resource/<resource_name>'"
        )
    if not words:
        return []
    if slashes:
        pairs = [_pair(word) for word in words]
        if selecting:
            raise Failure("error: selectors and the all flag cannot be used when passing resource/name arguments")
        named = [Named(catalog.find(type_), name) for type_, name in pairs]
        resources = list(dict.fromkeys(each.resource for each in named))
    else:
        resources = _resources(words[0], catalog)
        named = [Named(resources[0], name) for name in words[1:]]
    if single_type and len(resources) > 1:
        raise Failure("error: you may only specify a single resource type")
    if named and selecting:
        raise Failure("error: name cannot be provided when a selector is specified")
    if all_namespaces and any(each.resource.namespaced for each in named):
        raise Failure("error: a resource cannot be retrieved by name across all namespaces")
    if not named and not everything and not selecting:
        raise Failure("error: resource(s) were provided, but no name was specified")
    return list(named) or [Listed(resource) for resource in resources]


def _spread(words: list[str]) -> list[str]:
    """`a,b x` is `a/x b/x`."""
    types = words[0].split(",") if len(words) > 1 else []
    return [f"{type_}/{name}" for type_ in types for name in words[1:]] if len(types) > 1 else words


def _pair(word: str) -> tuple[str, str]:
    parts = word.split("/")
    if len(parts) != 2:
        raise Failure("error: arguments in resource/name form may not have more than one slash")
    if not all(parts) or "," in parts[0]:
        raise Failure("error: arguments in resource/name form must have a single resource and name")
    return parts[0], parts[1]


def _resources(types: str, catalog: Catalog) -> list[Resource]:
    found: dict[Resource, None] = {}
    for type_ in types.split(","):
        for resource in catalog.category(type_) or [catalog.find(type_)]:
            found.setdefault(resource)
    return list(found)


def fetch(
    session: Session,
    asks: Sequence[Ask],
    failures: Collected | None = None,
    *,
    labels: str = "",
    fields: str = "",
    all_namespaces: bool = False,
    page: int = _PAGE,
) -> list[Target]:
    """The objects asked for, in order, lists in pages of so many; `failures` takes names nobody has.

    Raises: ApiError, ConnectionFailed.
    """
    targets = []
    for ask in asks:
        namespace = session.namespace if ask.resource.namespaced and not all_namespaces else ""
        match ask:
            case Named(resource, name):
                try:
                    obj = session.api.request("GET", resource.path(namespace, name))
                except NotFound as error:
                    if failures is None:
                        raise
                    failures.add(error)
                else:
                    targets.append(Target(resource, namespace, name, obj))
            case Listed(resource):
                query = {"labelSelector": labels, "fieldSelector": fields, "limit": page}
                try:
                    items = pages(session.api, resource.path(namespace), query)[1]
                except BadRequest as error:
                    raise explained(error, resource, query) from None
                targets += [target_of(resource, item) for item in items]
    return targets


def target_of(resource: Resource, obj: Object, source: str = "") -> Target:
    return Target(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], obj, source)


def pages(api: Api, path: str, query: Mapping[str, Any]) -> tuple[Object, list[Object]]:
    """The first page of a list and the items of all its pages, each with its apiVersion and kind.

    Raises: ApiError, ConnectionFailed.
    """
    first = page = api.request("GET", path, query=query)
    items = list(page.get("items") or ())
    while more := page.get("metadata", {}).get("continue"):
        page = api.request("GET", path, query={**query, "continue": more})
        items += page.get("items") or ()
    kind = str(first.get("kind", "")).removesuffix("List")
    typed = {"apiVersion": first.get("apiVersion", ""), "kind": kind}
    return first, [{**typed, **item} for item in items]


def explained(error: BadRequest, resource: Resource, query: Mapping[str, Any]) -> BadRequest:
    """A refused list with what was looked for, as cli-runtime's EnhanceListError words it."""
    labels, fields = query.get("labelSelector") or "", query.get("fieldSelector") or ""
    if not labels and not fields:
        return error
    what = f'"{resource.shown}" that match label selector "{labels}", field selector "{fields}"'
    return BadRequest(f"Unable to find {what}: {error.message}")
