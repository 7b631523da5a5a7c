"""The node authorizer: a node reads and writes what concerns itself and the pods bound to it, and no more.

What a node may at all is the role `system:node`; the objects of some resources must besides be related to the node. The
relation is read from the pods bound to it, found through the watch cache's index on spec.nodeName.
Source: plugin/pkg/auth/authorizer/node/node_authorizer.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pylet.api.object import Object, dig
from pylet.api.selector import parse_fields
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.rbac import Rule

PREFIX = "system:node:"
GROUP = "system:nodes"
_READ = frozenset({"get", "list", "watch"})
_OWN_LEASE = frozenset({"get", "create", "update", "patch", "delete"})

PodsOn = Callable[[str], Iterable[Object]]
"""The pods bound to a node."""


class NodeAuthorizer:
    """`rules` are those of `system:node`."""

    def __init__(self, rules: Iterable[Rule], pods_on: PodsOn) -> None:
        self._rules = tuple(rules)
        self._pods_on = pods_on

    def decide(self, asked: Attributes) -> Decision:
        """For users of the group `system:nodes`; others get no allowance here."""
        if GROUP not in asked.user.groups or not asked.user.name.startswith(PREFIX):
            return Decision(False)
        node = asked.user.name.removeprefix(PREFIX)
        match asked.group, asked.resource:
            case "", ("secrets" | "configmaps"):
                return self._related(node, asked, _READ)
            case "", ("persistentvolumeclaims" | "persistentvolumes"):
                return self._related(node, asked, frozenset({"get"}))
            case "", "serviceaccounts":
                if asked.verb == "create" and asked.subresource != "token":
                    return Decision(False, "can only create token subresource of serviceaccount")
                verbs = frozenset({"create"}) if asked.subresource == "token" else frozenset({"get"})
                return self._related(node, asked, verbs)
            case "coordination.k8s.io", "leases":
                return _lease(node, asked)
            case "", "nodes":
                return self._node(node, asked)
            case "", "pods":
                return self._pod(node, asked)
            case "storage.k8s.io", "csinodes":
                return _named_as_node(node, asked, "can only access CSINode with the same name as the requesting node")
        return self._by_rules(asked)

    def _by_rules(self, asked: Attributes) -> Decision:
        return Decision(any(rule.allows(asked) for rule in self._rules))

    def _node(self, node: str, asked: Attributes) -> Decision:
        if asked.verb in _READ and asked.name != node and not _selects(asked.fields, "metadata.name", node):
            # Upstream refuses other nodes' objects; pylet's overlay network needs every node's addresses.
            return Decision(not asked.subresource)
        return self._by_rules(asked)

    def _pod(self, node: str, asked: Attributes) -> Decision:
        match asked.verb:
            case "list" | "watch":
                if _selects(asked.fields, "spec.nodeName", node):
                    return Decision(True)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            case "get":
                if any(_is(pod, asked.namespace, asked.name) for pod in self._pods_on(node)):
                    return Decision(True)
                return Decision(False, f"no relationship found between node '{node}' and this object")
        return self._by_rules(asked)  # what it may do to pods, NodeRestriction narrows to its own

    def _related(self, node: str, asked: Attributes, verbs: frozenset[str]) -> Decision:
        if asked.verb not in verbs:
            return Decision(False, "can only read resources of this type")
        if not asked.name:
            return Decision(False, "No Object name found")
        for pod in self._pods_on(node):
            if pod["metadata"]["namespace"] == asked.namespace and asked.name in set(references(pod, asked.resource)):
                return Decision(True)
        return Decision(False, f"no relationship found between node '{node}' and this object")


def references(pod: Object, resource: str) -> Iterator[str]:
    """Names of the objects of that resource the pod uses."""
    spec = pod["spec"]
    match resource:
        case "serviceaccounts":
            yield spec.get("serviceAccountName") or "default"
        case "secrets":
            for pull in spec.get("imagePullSecrets") or ():
                yield pull.get("name") or ""
            for source in _sources(spec, "secret"):
                yield source.get("secretName") or source.get("name") or ""
            yield from _in_environment(spec, "secret")
        case "configmaps":
            for source in _sources(spec, "configMap"):
                yield source.get("name") or ""
            yield from _in_environment(spec, "configMap")
        case "persistentvolumeclaims":
            for volume in spec.get("volumes") or ():
                yield dig(volume, "persistentVolumeClaim", "claimName", default="")


def _sources(spec: Object, name: str) -> Iterator[Object]:
    for volume in spec.get("volumes") or ():
        if source := volume.get(name):
            yield source
        for part in dig(volume, "projected", "sources", default=()):
            if source := part.get(name):
                yield source


def _in_environment(spec: Object, name: str) -> Iterator[str]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            for variable in container.get("env") or ():
                yield dig(variable, "valueFrom", f"{name}KeyRef", "name", default="")
            for source in container.get("envFrom") or ():
                yield dig(source, f"{name}Ref", "name", default="")


def _lease(node: str, asked: Attributes) -> Decision:
    if asked.verb not in _OWN_LEASE:
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if asked.namespace != "kube-node-lease":
        return Decision(False, 'can only access leases in the "kube-node-lease" system namespace')
    return _named_as_node(node, asked, "can only access node lease with the same name as the requesting node")


def _named_as_node(node: str, asked: Attributes, why: str) -> Decision:
    if asked.verb != "create" and asked.name != node:
        return Decision(False, why)
    return Decision(True)


def _is(pod: Object, namespace: str, name: str) -> bool:
    meta = pod["metadata"]
    return bool(meta["name"] == name and meta["namespace"] == namespace)


def _selects(fields: str, field: str, value: str) -> bool:
    try:
        terms = parse_fields(fields).terms
    except ValueError:
        return False
    return any(term == (field, value, True) for term in terms)
