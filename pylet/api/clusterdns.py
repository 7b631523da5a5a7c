"""The Service that the cluster's DNS is asked by. Pure."""

from __future__ import annotations

from pylet.api.object import Key, Object, key_of

SERVICE = Key("kube-system", "kube-dns")


def is_answered_by_nodes(service: Object) -> bool:
    """Whether this is that Service, and every node's own resolver answers it: not where it selects pods."""
    return key_of(service) == SERVICE and not service["spec"].get("selector")
