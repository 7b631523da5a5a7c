"""What server and agents agree on about Ingresses: whose are served here, and what they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pylet.api.kinds.ingressclass import is_default
from pylet.api.object import Key, Object, annotations_of, dig, is_true, seniority

CONTROLLER = "pylet.io/ingress"
"""What an IngressClass names to be served by the nodes themselves."""
SERVES = "pylet.io/ingress"
"""Annotation of a Node whose proxy serves them."""
GATEWAYS = "pylet.io/gateway"
"""Annotation of a Node that shall serve Gateways: there are some (`server.controllers.gateway`)."""
_CLASS = "kubernetes.io/ingress.class"


def ours(ingresses: Iterable[Object], classes: Sequence[Object]) -> list[Object]:
    """The Ingresses of our classes, the oldest first; one that names no class is ours if a class of ours is default."""
    classes = [item for item in classes if item["spec"].get("controller") == CONTROLLER]
    names = {item["metadata"]["name"] for item in classes}
    takes_unnamed = any(is_default(item) for item in classes)
    found = []
    for ingress in ingresses:
        name = ingress["spec"].get("ingressClassName") or annotations_of(ingress).get(_CLASS)
        if name in names or (name is None and takes_unnamed):
            found.append(ingress)
    return sorted(found, key=seniority)


def secrets_of(ingress: Object) -> Iterator[Key]:
    """Where its certificates are."""
    for tls in ingress["spec"].get("tls") or ():
        if tls.get("secretName"):
            yield Key(ingress["metadata"]["namespace"], tls["secretName"])


def addresses_of(nodes: Iterable[Object]) -> list[str]:
    """Where the nodes that serve are reached."""
    return sorted(address for node in nodes if _serves(node) for address in _addresses(node))


def _serves(node: Object) -> bool:
    return is_true(node, "Ready") and annotations_of(node).get(SERVES) == "true"


def _addresses(node: Object) -> Iterable[str]:
    """Where it is reached from outside, if it says so; else where it is."""
    by_type: dict[str, list[str]] = {}
    for address in dig(node, "status", "addresses", default=()) or ():
        by_type.setdefault(address["type"], []).append(address["address"])
    return by_type.get("ExternalIP") or by_type.get("InternalIP") or ()
