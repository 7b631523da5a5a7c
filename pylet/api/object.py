"""A Kubernetes object as it is on the wire, and the few questions everybody asks of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

Object: TypeAlias = dict[str, Any]
"""JSON as on the wire: unknown fields survive, a custom resource is nothing special."""


class Key(NamedTuple):
    """Names one object of a kind; `namespace` is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Object) -> Key:
    meta = obj["metadata"]
    return Key(meta.get("namespace", ""), meta["name"])


def uid_of(obj: Object) -> str:
    uid: str = obj["metadata"]["uid"]
    return uid


def revision_of(obj: Object) -> int:
    """The object's resourceVersion as a number; 0 when it has none."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def labels_of(obj: Object) -> dict[str, str]:
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels


def annotations_of(obj: Object) -> dict[str, str]:
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    return annotations


def owners_of(obj: Object) -> list[Object]:
    owners: list[Object] = obj["metadata"].get("ownerReferences") or []
    return owners


def controller_of(obj: Object) -> Object | None:
    """The owner reference that says `controller: true`, if any."""
    return next((owner for owner in owners_of(obj) if owner.get("controller")), None)


def seniority(obj: Object) -> tuple[str, Key]:
    """What to sort by: the oldest first, between equals by name."""
    return obj["metadata"].get("creationTimestamp", ""), key_of(obj)


def is_terminating(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def dig(obj: Any, *path: str, default: Any = None) -> Any:
    """The value at a path of field names; `default` where any of them is absent or null."""
    for name in path:
        if not isinstance(obj, dict):
            return default
        obj = obj.get(name)
    return default if obj is None else obj


def condition_of(obj: Object, type_: str) -> Object | None:
    """The entry of `status.conditions` with that type, if any."""
    return next((c for c in conditions_of(obj) if c.get("type") == type_), None)


def is_true(obj: Object, condition: str) -> bool:
    """Whether the condition of that type has the status True."""
    return (condition_of(obj, condition) or {}).get("status") == "True"


def conditions_of(obj: Object) -> Iterator[Object]:
    yield from dig(obj, "status", "conditions", default=())
