"""Whether a user may: system:masters always, then the node authorizer, then RBAC on the watch cache's roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pylet.api.ingress import ours, secrets_of
from pylet.api.kind import Kind
from pylet.api.kinds.clusterrole import KIND as CLUSTER_ROLE
from pylet.api.kinds.clusterrolebinding import KIND as CLUSTER_ROLE_BINDING
from pylet.api.kinds.ingress import KIND as INGRESS
from pylet.api.kinds.ingressclass import KIND as INGRESS_CLASS
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.role import KIND as ROLE
from pylet.api.kinds.rolebinding import KIND as ROLE_BINDING
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.auth import default_roles
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.node import NodeAuthorizer
from pylet.server.auth.rbac import Policy, Rule
from pylet.server.auth.relations import Relations
from pylet.server.registry import Registry, User

if TYPE_CHECKING:
    from pylet.server.auth.remote import Judge

MASTERS = "system:masters"
_RBAC = (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING)
_BY_NODE = "spec.nodeName"


class Authorizer:
    """`judge` is asked about what the rules here do not allow, by who can wait for it (`ask`): all but expressions."""

    def __init__(self, registry: Registry, judge: Judge | None = None) -> None:
        self._registry = registry
        self._judge = judge
        self._policy: Policy | None = None
        for kind in _RBAC:
            registry.table(kind).listen(self._changed)
        node_role = next(role for role in default_roles.objects() if role["metadata"]["name"] == "system:node")
        relations = Relations(self._pods_on, self._find, self._certificates)
        self._nodes = NodeAuthorizer([Rule.of(rule) for rule in node_role["rules"]], relations)

    @property
    def policy(self) -> Policy:
        """RBAC as it stands; compiled again when one of its objects has changed."""
        if self._policy is None:
            self._policy = Policy(*(self._objects(kind) for kind in _RBAC))
        return self._policy

    def decide(self, asked: Attributes) -> Decision:
        if MASTERS in asked.user.groups:
            return Decision(True)
        if (by_node := self._nodes.decide(asked)).allowed:
            return by_node
        by_role = self.policy.decide(asked)
        return by_role if by_role.allowed else Decision(False, by_node.reason)

    async def ask(self, asked: Attributes) -> Decision:
        decision = self.decide(asked)
        if decision.allowed or self._judge is None:
            return decision
        judged = await self._judge.decide(asked)
        return judged if judged.allowed or judged.reason else decision

    def _changed(self, before: Entry | None, after: Entry | None) -> None:
        self._policy = None

    def _objects(self, kind: Kind) -> Iterable[Object]:
        return [entry.object for entry in self._registry.table(kind).entries.values()]

    def _find(self, kind: Kind, key: Key) -> Object | None:
        entry = self._registry.table(kind).entries.get(key)
        return None if entry is None else entry.object

    def _certificates(self, namespace: str) -> Iterable[Key]:
        """Those of the Ingresses and Gateways that the nodes serve."""
        ingresses = [entry.object for entry in self._registry.table(INGRESS).in_namespace(namespace).values()]
        found = [key for one in ours(ingresses, list(self._objects(INGRESS_CLASS))) for key in secrets_of(one)]
        gateways = list(self._custom("v1", "gateways"))
        if gateways:
            from pylet.api.gateway.listeners import secrets

            found += secrets(gateways, self._custom("v1", "gatewayclasses"), self._custom("v1beta1", "referencegrants"))
        return found

    def _custom(self, version: str, plural: str) -> Iterable[Object]:
        kind = self._registry.kinds.by_resource("gateway.networking.k8s.io", version, plural)
        try:
            return () if kind is None else self._objects(kind)
        except KeyError:  # filled only from its first use on
            return ()

    def _pods_on(self, node: str) -> Iterable[Object]:
        table = self._registry.table(POD)
        if _BY_NODE in POD.fields:
            return [entry.object for entry in table.with_field(_BY_NODE, node).values()]
        return [e.object for e in table.entries.values() if e.object["spec"].get("nodeName") == node]


def may_have_approved(authorizer: Authorizer, spec: Object, subresource: str) -> bool:
    """Whether who made a CertificateSigningRequest, by its spec, may create that subresource of them."""
    user = User(
        spec.get("username") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", spec.get("extra") or {}
    )
    resource = "certificatesigningrequests"
    return authorizer.decide(Attributes(user, "create", "certificates.k8s.io", "*", resource, subresource)).allowed
