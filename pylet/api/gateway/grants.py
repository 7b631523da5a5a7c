"""Who may name an object of another namespace: whom a ReferenceGrant there lets. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api.gateway import GROUP
from pylet.api.object import Key, Object


def may_name(kind: str, namespace: str, target_kind: str, target: Key, grants: Iterable[Object]) -> bool:
    """Whether a `kind` of the Gateway API in `namespace` may name that Service or Secret."""
    if namespace == target.namespace:
        return True
    return any(
        grant["metadata"]["namespace"] == target.namespace
        and any(
            (one["group"], one["kind"], one["namespace"]) == (GROUP, kind, namespace) for one in grant["spec"]["from"]
        )
        and any(
            (one["group"], one["kind"]) == ("", target_kind) and one.get("name") in (None, "", target.name)
            for one in grant["spec"]["to"]
        )
        for grant in grants
    )
