"""Load balancers of bare metal: what the server, which gives addresses, and the agents, which answer, agree on."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from pylet.api.object import Key, Object, is_terminating, is_true, labels_of

POOL = Key("kube-system", "pylet-load-balancer")
"""The ConfigMap whose `pool` says which addresses may be handed out."""
FROM_POOL = "pylet.io/FromPool"
"""Condition of a Service: True when the addresses in its status are ours to answer for."""
_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def may_serve(node: Object) -> bool:
    return is_true(node, "Ready") and _EXCLUDED not in labels_of(node) and not is_terminating(node)


def nodes_with_endpoints(slices: Iterable[Object]) -> set[str]:
    """Of one Service's slices."""
    return {
        endpoint["nodeName"]
        for item in slices
        for endpoint in item.get("endpoints") or ()
        if endpoint.get("nodeName") and (endpoint.get("conditions") or {}).get("ready") is not False
    }


def announcer(address: str, nodes: Iterable[str]) -> str | None:
    """The node that answers for an address: another one only when it goes, or one comes that is before it."""
    return max(nodes, key=lambda name: sha256(f"{name} {address}".encode()).digest(), default=None)
