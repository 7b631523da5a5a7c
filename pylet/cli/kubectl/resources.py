"""Which resources there are and what they are called: a table of those that never change, discovery for the rest.

The table saves the two discovery requests that most commands would begin with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pylet.api.errors import ApiError
from pylet.cli.failure import Failure, warn
from pylet.cli.kubectl.http import JSON, Api


@dataclass(frozen=True, slots=True)
class Resource:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, as errors name a resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def shown(self) -> str:
        """`apps/v1, Resource=deployments`, as Go shows what it calls a GroupVersionResource."""
        return f"{self.group}/{self.version}, Resource={self.plural}"

    @property
    def label(self) -> str:
        """`deployment.apps`, as messages name one object."""
        single = self.kind.lower()
        return f"{single}.{self.group}" if self.group else single

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        from urllib.parse import quote

        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.namespaced and namespace:
            root += f"/namespaces/{quote(namespace, safe='')}"
        parts = [self.plural, *([quote(name, safe="")] if name else []), *([subresource] if subresource else [])]
        return "/".join([root, *parts])


# group/version kind plural short,names; a "*" marks what has no namespace
_TABLE = """
v1 Pod pods po
v1 Service services svc
v1 ConfigMap configmaps cm
v1 Secret secrets -
v1 Node* nodes no
v1 Namespace* namespaces ns
v1 ServiceAccount serviceaccounts sa
v1 Endpoints endpoints ep
v1 Event events ev
apps/v1 Deployment deployments deploy
apps/v1 ReplicaSet replicasets rs
rbac.authorization.k8s.io/v1 Role roles -
rbac.authorization.k8s.io/v1 RoleBinding rolebindings -
rbac.authorization.k8s.io/v1 ClusterRole* clusterroles -
rbac.authorization.k8s.io/v1 ClusterRoleBinding* clusterrolebindings -
coordination.k8s.io/v1 Lease leases -
discovery.k8s.io/v1 EndpointSlice endpointslices -
certificates.k8s.io/v1 CertificateSigningRequest* certificatesigningrequests csr
"""


def _well_known() -> Iterator[Resource]:
    for line in _TABLE.split("\n")[1:-1]:
        api_version, kind, plural, shorts = line.split(" ")
        group, _, version = api_version.rpartition("/")
        names = () if shorts == "-" else tuple(shorts.split(","))
        name = kind.rstrip("*")
        yield Resource(group, version, plural, name, not kind.endswith("*"), name.lower(), names)


WELL_KNOWN = tuple(_well_known())
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class Catalog:
    """Finds resources by any of their names."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._warned: set[str] = set()

    @cached_property
    def discovered(self) -> list[Resource]:
        """Everything the server serves: of each group its preferred version first."""
        found: list[Resource] = []
        for root in ("/api", "/apis"):
            answer = self._api.request("GET", root, accept=_DISCOVERY)
            if answer.get("kind") == "APIGroupDiscoveryList":
                found += _aggregated(answer)
            else:
                found += self._plain(root, answer)
        return found

    def _plain(self, root: str, answer: Any) -> Iterator[Resource]:
        if answer.get("kind") == "APIVersions":
            versions = answer.get("versions") or []
        else:
            versions = [
                each["groupVersion"]
                for group in answer.get("groups") or ()
                for each in sorted(group["versions"], key=lambda v: v != group.get("preferredVersion"))
            ]
        for api_version in versions:
            try:
                listed = self._api.request("GET", f"{root}/{api_version}", accept=JSON)
            except ApiError:
                continue  # an aggregated API whose server is away hides its resources only
            for item in listed.get("resources") or ():
                if "/" not in item["name"]:
                    yield _resource(*_split(api_version), item, item["name"], item["kind"], bool(item["namespaced"]))

    def find(self, name: str) -> Resource:
        """The resource called so: plural, singular, short name or kind, bare or with `.version.group`.

        Raises: Failure.
        """
        if found := next(_matching(name, WELL_KNOWN), None):
            return found
        matching = _matching(name, self.discovered)
        if found := next(matching, None):
            self._warn_of_others(name, found, matching)
            return found
        if found := next(_matching(name, self.discovered, is_prefix=True), None):
            return found
        raise Failure(f'error: the server doesn\'t have a resource type "{name.split(".")[0]}"')

    def _warn_of_others(self, name: str, found: Resource, others: Iterable[Resource]) -> None:
        """A short name may be that of several resources, of which the first is meant."""
        if name in found.short_names and name not in self._warned:
            self._warned.add(name)
            for other in dict.fromkeys(each.qualified for each in others if name in each.short_names):
                if other != found.qualified:
                    warn(f'short name "{name}" could also match lower priority resource {other}')

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object in a manifest."""
        for resources in (WELL_KNOWN, None):
            for resource in resources if resources is not None else self.discovered:
                if resource.kind == kind and resource.api_version == api_version:
                    return resource
        return None

    def category(self, name: str) -> list[Resource]:
        """The resources of a category such as `all`; no discovery for what is an ordinary resource's name."""
        if next(_matching(name, WELL_KNOWN), None) or "." in name:
            return []
        return [r for r in self.discovered if name in r.categories]


def _matching(name: str, resources: Iterable[Resource], *, is_prefix: bool = False) -> Iterator[Resource]:
    """With `is_prefix` those of a group that begins with the one that is named, too."""
    first, _, rest = name.lower().partition(".")
    version, _, group = rest.partition(".")
    for resource in resources:
        names = (resource.plural, resource.singular, resource.kind.lower(), *resource.short_names)
        if first not in names:
            continue
        is_exact = not rest or rest == resource.group or (version, group) == (resource.version, resource.group)
        if is_exact or (is_prefix and resource.group.startswith(rest)):
            yield resource


def _split(api_version: str) -> tuple[str, str]:
    group, _, version = api_version.rpartition("/")
    return group, version


def _aggregated(answer: Any) -> Iterator[Resource]:
    for group in answer.get("items") or ():
        name = group.get("metadata", {}).get("name", "")
        for version in group.get("versions") or ():
            for item in version.get("resources") or ():
                kind = item.get("responseKind", {}).get("kind", "")
                namespaced = item.get("scope") == "Namespaced"
                yield _resource(name, version["version"], item, item["resource"], kind, namespaced)


def _resource(group: str, version: str, item: Any, plural: str, kind: str, namespaced: bool) -> Resource:
    return Resource(
        group,
        version,
        plural,
        kind,
        namespaced,
        item.get("singularResource") or item.get("singularName") or kind.lower(),
        tuple(item.get("shortNames") or ()),
        tuple(item.get("categories") or ()),
        tuple(item.get("verbs") or ()),
    )
