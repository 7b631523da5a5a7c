"""From client-side to server-side apply: the fields of the one become fields of the other. Pure.

Source: client-go `util/csaupgrade`; without it a field that was applied by the client alone would never go away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pylet.api.object import Object
from pylet.cli.kubectl.documents import LAST_APPLIED

_ANNOTATION = ("f:metadata", "f:annotations", f"f:{LAST_APPLIED}")


def owners(managed: Sequence[Object], operation: str) -> list[str]:
    """The managers that own the annotation of the last applied configuration by such an operation."""
    return [entry["manager"] for entry in managed if entry["operation"] == operation and _has_annotation(entry)]


def _has_annotation(entry: Object) -> bool:
    found: Any = entry.get("fieldsV1") or {}
    for step in _ANNOTATION:
        found = found.get(step)
        if found is None:
            return False
    return True


def migrated(managed: Sequence[Object], clients: Sequence[str], server: str) -> list[Object]:
    """The entries with those of `clients`, who updated, merged into the one of `server`, who applies."""
    entries = list(managed)
    for client in dict.fromkeys(clients):
        entries = _merged(entries, client, server)
    return entries


def _merged(entries: list[Object], client: str, server: str) -> list[Object]:
    updates = [entry for entry in entries if _is(entry, client, "Update")]
    if not updates:
        return entries
    applied = next((entry for entry in entries if _is(entry, server, "Apply")), None)
    into = applied or {**updates[0], "operation": "Apply", "manager": server}
    for update in updates:
        if update["apiVersion"] == into["apiVersion"]:
            into = {**into, "fieldsV1": _union(into["fieldsV1"], update["fieldsV1"])}
            break
    taken = applied or updates[0]
    kept = [into if entry is taken else entry for entry in entries]
    return [entry for entry in kept if not _is(entry, client, "Update")]


def _is(entry: Object, manager: str, operation: str) -> bool:
    return (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, operation, "")


def _union(one: Object, other: Object) -> Object:
    return {**other, **{key: _union(value, other[key]) if key in other else value for key, value in one.items()}}
