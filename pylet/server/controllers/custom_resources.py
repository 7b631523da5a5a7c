"""The controller of CustomResourceDefinitions: gives them names, and empties those that are being deleted.

Source: apiextensions-apiserver pkg/controller/{status,establish,finalizer}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from pylet.api.kind import Kind
from pylet.api.kinds.customresourcedefinition import CLEANUP
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.object import Key, Object, is_terminating, uid_of
from pylet.api.timestamps import format_time
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Delete, Patch, Plan, Watch, itself

_TERMINATING = b'"deletionTimestamp"'


def controller(stored: Callable[[str], Kind | None]) -> Controller:
    """`stored` names the kind whose table holds what the definition of that name defined."""

    accepted: dict[str, tuple[int, Object]] = {}

    def plan(key: Key, view: View, now: datetime) -> Plan:
        crd = view.get(DEFINITION, key)
        if crd is None:
            accepted.pop(key.name, None)
            return NOTHING
        if is_terminating(crd):
            kind = stored(key.name)
            return _clean_up(crd, kind, view, now) if CLEANUP in (crd["metadata"].get("finalizers") or ()) else NOTHING
        from pylet.api.crd import names

        status = names.status_of(crd, taken(key, view), now)
        if status == crd.get("status"):
            return NOTHING
        return Plan((_write_status(key, crd, status),))

    def taken(key: Key, view: View) -> Iterator[Object]:
        """The names that other definitions of the group have; large definitions are decoded once for them."""
        group = key.name.partition(".")[2]
        for entry in view.table(DEFINITION).entries.values():
            if entry.key == key or entry.key.name.partition(".")[2] != group:
                continue
            known = accepted.get(entry.key.name)
            if known is None or known[0] != entry.revision:
                found = (entry.object.get("status") or {}).get("acceptedNames") or {}
                known = accepted[entry.key.name] = entry.revision, {**found}
            yield known[1]

    def of_instance(entry: Entry, view: View) -> Iterable[Key]:
        obj = entry.object
        group = obj["apiVersion"].partition("/")[0]
        for crd in view.table(DEFINITION).entries.values():
            if _TERMINATING in crd.raw and crd.key.name.partition(".")[2] == group:
                yield crd.key

    return Controller(
        "custom-resource-definition",
        (Watch(DEFINITION, itself), Watch(DEFINITION, _neighbours)),
        plan,
        lambda kind: Watch(kind, of_instance),
    )


def _neighbours(entry: Entry, view: View) -> Iterator[Key]:
    """Names that one definition frees or takes concern the others of its group, unless they have theirs."""
    group = entry.key.name.partition(".")[2]
    for other in view.table(DEFINITION).entries.values():
        if other.key.name.partition(".")[2] == group and b'"NamesAccepted","status":"False"' in other.raw:
            yield other.key


def _clean_up(crd: Object, kind: Kind | None, view: View, now: datetime) -> Plan:
    left = list(view.table(kind).entries.values()) if kind is not None else []
    key = Key("", crd["metadata"]["name"])
    deletes: tuple[Action, ...] = tuple(
        Delete(kind, entry.key, entry.uid, propagation="Background")
        for entry in left
        if kind is not None and _TERMINATING not in entry.raw
    )
    if left:
        reason, message = "InstanceDeletionInProgress", "CustomResource deletion is in progress"
        return Plan((*_told(key, crd, "True", reason, message, now), *deletes))
    told = _told(key, crd, "False", "InstanceDeletionCompleted", "removed all instances", now)
    if told:
        return Plan(told)
    kept = [name for name in crd["metadata"]["finalizers"] if name != CLEANUP]
    return Plan((Patch(DEFINITION, key, {"metadata": {"uid": uid_of(crd), "finalizers": kept or None}}),))


def _told(key: Key, crd: Object, status: str, reason: str, message: str, now: datetime) -> tuple[Action, ...]:
    fresh = {"type": "Terminating", "status": status, "reason": reason, "message": message}
    conditions = crd["status"].get("conditions") or []
    before: Object = next((condition for condition in conditions if condition["type"] == "Terminating"), {})
    if fresh == {name: value for name, value in before.items() if name in fresh}:
        return ()
    moved = before.get("lastTransitionTime") if before.get("status") == status else None
    fresh["lastTransitionTime"] = moved or format_time(now)
    others = [condition for condition in conditions if condition is not before]
    return (_write_status(key, crd, {**crd["status"], "conditions": [*others, fresh]}),)


def _write_status(key: Key, crd: Object, status: Object) -> Patch:
    gone = {name: None for name in crd.get("status") or {} if name not in status}
    meta = {"uid": uid_of(crd), "resourceVersion": crd["metadata"]["resourceVersion"]}
    return Patch(DEFINITION, key, {"metadata": meta, "status": {**gone, **status}}, subresource="status")
