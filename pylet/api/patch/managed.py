"""`metadata.managedFields`: who owns which fields of an object, and since when.

A Manager is who wrote and how; for those who apply, the version is no part of it. Entries are read from and written to
the object's JSON; Sets inside are shared, never changed. Source: apimachinery pkg/util/managedfields/internal
(managedfields.go, capmanagers.go, stripmeta.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from pylet.api.object import Object
from pylet.api.patch.fieldset import Set, difference, from_wire, of_paths, ordered, union

APPLY: Final = "Apply"
UPDATE: Final = "Update"
_MOST_UPDATERS = 10
_STRIPPED: Final = of_paths(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
)


class Manager(NamedTuple):
    name: str
    operation: str
    api_version: str
    subresource: str

    @classmethod
    def of(cls, name: str, operation: str, api_version: str, subresource: str) -> Manager:
        return cls(name or "unknown", operation, "" if operation == APPLY else api_version, subresource)

    def __str__(self) -> str:
        """As conflicts name it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


@dataclass(frozen=True, slots=True)
class Owned:
    """`time` is when the manager last changed something; None when the entry does not say."""

    fields: Set
    api_version: str
    time: str | None

    def with_fields(self, fields: Set) -> Owned:
        return self if fields is self.fields else Owned(fields, self.api_version, self.time)


Managed: TypeAlias = dict[Manager, Owned]


def read(entries: Any, *, trusted: bool = False) -> Managed:
    """`trusted` entries are the server's own. Raises: ValueError."""
    managed: Managed = {}
    for position, entry in enumerate(entries or ()):
        operation, version = entry.get("operation"), entry.get("apiVersion")
        if operation not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not version:
            raise ValueError("apiVersion must not be empty")
        if entry.get("fieldsType") != "FieldsV1":
            raise ValueError(f"invalid fieldsType in managed fields entry {position}")
        fields = (entry.get("fieldsV1") or {}) if trusted else from_wire(entry.get("fieldsV1"))
        manager = Manager(
            entry.get("manager", ""), operation, "" if operation == APPLY else version, entry.get("subresource", "")
        )
        managed[manager] = Owned(fields, version, entry.get("time"))
    return managed


def written(managed: Managed) -> list[Object]:
    """The entries, in upstream's order."""
    found = sorted(managed.items(), key=lambda item: _order(*item))
    return [_entry(manager, owned) for manager, owned in found]


def _order(manager: Manager, owned: Owned) -> tuple[str, ...]:
    return (manager.operation, owned.time or "", manager.name, owned.api_version, manager.subresource)


def _entry(manager: Manager, owned: Owned) -> Object:
    entry: Object = {}
    if manager.name:
        entry["manager"] = manager.name
    entry |= {"operation": manager.operation, "apiVersion": owned.api_version}
    if owned.time is not None:
        entry["time"] = owned.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": owned.fields}
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def is_reset(entries: Any) -> bool:
    """Whether a client asks to forget all owners: [] or one empty entry."""
    return entries is not None and (not entries or entries == [{}])


def stripped(fields: Set) -> Set:
    """Without the fields nobody owns."""
    return difference(fields, _STRIPPED)


def capped(managed: Managed) -> Managed:
    """At most ten managers that update: the oldest of one version become one."""
    updaters = [manager for manager in managed if manager.operation == UPDATE]
    excess = len(updaters) - _MOST_UPDATERS
    if excess <= 0:
        return managed
    managed = dict(managed)
    updaters.sort(key=lambda manager: (managed[manager].time or "", manager))
    first: dict[str, Manager] = {}
    for manager in updaters:
        if excess <= 0:
            break
        owned = managed[manager]
        version = owned.api_version
        if version not in first:
            first[version] = manager
            continue
        bucket = Manager("ancient-changes", UPDATE, version, "")
        if bucket not in managed:
            managed[bucket] = managed.pop(first[version])
        del managed[manager]
        managed[bucket] = Owned(ordered(union(owned.fields, managed[bucket].fields)), version, owned.time)
        excess -= 1
    return managed
