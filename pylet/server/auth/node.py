"""The node authorizer: a node reads and writes what concerns itself and the pods bound to it, and no more.

What a node may at all is the role `system:node`; the objects of some resources must besides be related to the node
(`relations`). Nodes see each other by RBAC, as kube-proxy does: `default_roles.txt`, pylet:node-proxier.
Beyond upstream, a node finds and lets go of the local volumes that are directories of its own: those that bear
`pylet.io/node` with its name (`pylet.server.controllers.local_path`); NodeRestriction says what it may change of them.
Source: plugin/pkg/auth/authorizer/node/node_authorizer.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api.selector import parse_fields, parse_labels
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.rbac import Rule
from pylet.server.auth.relations import Relations
from pylet.server.registry import User

PREFIX = "system:node:"
GROUP = "system:nodes"
_READ = frozenset({"get", "list", "watch"})
_CHANGE = frozenset({"update", "patch"})
_OWN = frozenset({"get", "create", "update", "patch", "delete"})
LOCAL_VOLUME = "pylet.io/node"
_YES, _NO = Decision(True), Decision(False)


def node_of(user: User) -> str | None:
    """The node a user is; None for who is none."""
    return user.name.removeprefix(PREFIX) if GROUP in user.groups and user.name.startswith(PREFIX) else None


class NodeAuthorizer:
    """`rules` are those of `system:node`."""

    def __init__(self, rules: Iterable[Rule], relations: Relations) -> None:
        self._rules = tuple(rules)
        self._relations = relations

    def decide(self, asked: Attributes) -> Decision:
        """Who is no node gets no allowance here."""
        node = node_of(asked.user)
        if node is None:
            return _NO
        if not node:
            return Decision(False, f'unknown node for user "{asked.user.name}"')
        match asked.group, asked.resource:
            case "", ("secrets" | "configmaps"):
                return self._read(node, asked)
            case "", "persistentvolumeclaims" if asked.subresource == "status":
                if asked.verb not in _CHANGE:
                    return Decision(False, "can only get/update/patch this type")
                return self._related(node, asked)
            case "", "persistentvolumes" if not asked.subresource and self._is_own_volume(node, asked):
                return _YES
            case (
                ("", "persistentvolumeclaims" | "persistentvolumes")
                | ("resource.k8s.io", "resourceclaims")
                | ("storage.k8s.io", "volumeattachments")
            ):
                return self._get(node, asked)
            case "", "serviceaccounts":
                return self._account(node, asked)
            case "coordination.k8s.io", "leases":
                return _lease(node, asked)
            case "storage.k8s.io", "csinodes":
                return _csi_node(node, asked)
            case "resource.k8s.io", "resourceslices":
                return self._slice(node, asked)
            case "", "nodes":
                return _node(node, asked)
            case "", "pods":
                return self._pod(node, asked)
        return Decision(any(rule.allows(asked) for rule in self._rules))

    def _read(self, node: str, asked: Attributes) -> Decision:
        if asked.verb not in _READ:
            return Decision(False, "can only read resources of this type")
        if asked.subresource:
            return Decision(False, "cannot read subresource")
        if not asked.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._related(node, asked)

    def _get(self, node: str, asked: Attributes) -> Decision:
        if asked.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if asked.subresource:
            return Decision(False, "cannot get subresource")
        return self._related(node, asked)

    def _is_own_volume(self, node: str, asked: Attributes) -> bool:
        if asked.verb in ("list", "watch"):
            return _bears(asked.labels, LOCAL_VOLUME, node)
        return asked.verb in ("get", "patch") and self._relations.is_labelled(asked.name, LOCAL_VOLUME, node)

    def _account(self, node: str, asked: Attributes) -> Decision:
        if asked.verb == "get" and not asked.subresource:
            return self._read(node, asked)
        if asked.verb != "create" or not asked.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if asked.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, asked)

    def _slice(self, node: str, asked: Attributes) -> Decision:
        if asked.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        match asked.verb:
            case "create":
                return _YES
            case "get" | "update" | "patch" | "delete":
                return self._related(node, asked)
            case "list" | "watch" | "deletecollection":
                if _selects(asked.fields, "spec.nodeName", node):
                    return _YES
                why = "can only list/watch/deletecollection resourceslices with nodeName field selector"
                return Decision(False, why)
        verbs = "get, watch, list, create, update, patch, delete, deletecollection"
        return Decision(False, f"only the following verbs are allowed for a ResourceSlice: {verbs}")

    def _pod(self, node: str, asked: Attributes) -> Decision:
        match asked.subresource, asked.verb:
            case "", "get":
                return self._get(node, asked)
            case "", ("list" | "watch"):
                if _selects(asked.fields, "spec.nodeName", node):
                    return _YES
                if asked.name:
                    return self._related(node, asked)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            # What it may do to pods, NodeRestriction narrows to its own.
            case ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create"):
                return _YES
        return _NO

    def _related(self, node: str, asked: Attributes) -> Decision:
        if not asked.name:
            return Decision(False, "No Object name found")
        if self._relations.concern(node, asked.resource, asked.namespace, asked.name):
            return _YES
        return Decision(False, f"no relationship found between node '{node}' and this object")


def _node(node: str, asked: Attributes) -> Decision:
    match asked.subresource, asked.verb:
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return _YES
        case "", ("get" | "list" | "watch"):
            if asked.name == node:
                return _YES
            what = f"'{asked.name}'" if asked.name else "all nodes"
            return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")
    return _NO


def _lease(node: str, asked: Attributes) -> Decision:
    if asked.verb not in _OWN:
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if asked.namespace != "kube-node-lease":
        return Decision(False, 'can only access leases in the "kube-node-lease" system namespace')
    if asked.verb != "create" and asked.name != node:
        return Decision(False, "can only access node lease with the same name as the requesting node")
    return _YES


def _csi_node(node: str, asked: Attributes) -> Decision:
    if asked.verb not in _OWN:
        return Decision(False, "can only get, create, update, patch, or delete a CSINode")
    if asked.subresource:
        return Decision(False, "cannot authorize CSINode subresources")
    if asked.verb != "create" and asked.name != node:
        return Decision(False, "can only access CSINode with the same name as the requesting node")
    return _YES


def _selects(fields: str, field: str, value: str) -> bool:
    try:
        terms = parse_fields(fields).terms
    except ValueError:
        return False
    return any(term == (field, value, True) for term in terms)


def _bears(labels: str, label: str, value: str) -> bool:
    """Whether the label selector selects only what bears `label` with `value`."""
    try:
        requirements = parse_labels(labels).requirements
    except ValueError:
        return False
    return any(
        (each.key, each.values) == (label, (value,)) and each.operator in ("=", "==", "in") for each in requirements
    )
