"""Whether a user may: system:masters always, then whoever the chain names in its order, as a rule Node and RBAC.

Source: apiserver pkg/authorization/union/union.go, pkg/kubeapiserver/authorizer/reload.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pylet.aio.prometheus import Counter
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
from pylet.server.auth.attributes import Attributes, Decision, undecided
from pylet.server.auth.node import NodeAuthorizer
from pylet.server.auth.rbac import Policy, Rule
from pylet.server.auth.relations import Relations
from pylet.server.registry import Registry, User

if TYPE_CHECKING:
    from pylet.server.auth.remote import Judge

MASTERS = "system:masters"
_RBAC = (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING)
_BY_NODE = "spec.nodeName"
_OF_DECISIONS = ("type", "name", "decision")
_YES, _NEVER = Decision(True), Decision(False, "Everything is forbidden.")


class Link(NamedTuple):
    """One who decides; `judge` is asked over the network, and None for who is of the server's own."""

    type: str
    name: str
    judge: Judge | None = None


@dataclass(slots=True)
class Chain:
    """Who decides, one after another; may be another one while the server runs."""

    links: tuple[Link, ...] = (Link("Node", "node"), Link("RBAC", "rbac"))


class Authorizer:
    """`ask` waits for judges; `decide` passes over them: it is for who cannot wait."""

    def __init__(self, registry: Registry, chain: Chain | None = None) -> None:
        self._registry = registry
        self._chain = chain or Chain()
        self._policy: Policy | None = None
        for kind in _RBAC:
            registry.table(kind).listen(self._changed)
        node_role = next(role for role in default_roles.objects() if role["metadata"]["name"] == "system:node")
        relations = Relations(self._pods_on, self._find, self._certificates)
        self._nodes = NodeAuthorizer([Rule.of(rule) for rule in node_role["rules"]], relations)
        self._own: dict[str, Callable[[Attributes], Decision]] = {
            "Node": self._nodes.decide,
            "RBAC": lambda asked: self.policy.decide(asked),
            "AlwaysAllow": lambda asked: _YES,
            "AlwaysDeny": lambda asked: _NEVER,
        }
        self._decisions = Counter("apiserver_authorization_decisions_total", "By who decided.", _OF_DECISIONS)

    @property
    def policy(self) -> Policy:
        """RBAC as it stands; compiled again when one of its objects has changed."""
        if self._policy is None:
            self._policy = Policy(*(self._objects(kind) for kind in _RBAC))
        return self._policy

    @property
    def links(self) -> tuple[Link, ...]:
        return self._chain.links

    @property
    def has_judges(self) -> bool:
        return any(link.judge is not None for link in self._chain.links)

    def metrics(self) -> Iterator[str]:
        return self._decisions.lines()

    def decide(self, asked: Attributes) -> Decision:
        if MASTERS in asked.user.groups:
            return _YES
        passed = []
        for link in self._chain.links:
            if link.judge is None:
                found = self._own[link.type](asked)
                if found.allowed or found.denied:
                    return self._counted(link, found)
                passed.append(found)
        return undecided(passed)

    async def ask(self, asked: Attributes) -> Decision:
        if MASTERS in asked.user.groups:
            return _YES
        passed = []
        for link in self._chain.links:
            found = self._own[link.type](asked) if link.judge is None else await link.judge.decide(asked)
            if found.allowed or found.denied:
                return self._counted(link, found)
            passed.append(found)
        return undecided(passed)

    def _counted(self, link: Link, decision: Decision) -> Decision:
        self._decisions.add(link.type, link.name, "allowed" if decision.allowed else "denied")
        return decision

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
