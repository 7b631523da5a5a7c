"""The garbage collector: what lost its owners goes, foreground deletion waits for dependents, orphaning frees them.

One controller for all kinds: its keys name the kind too (see `_place`). The watch cache it decides from is the server's
own and complete, so an owner that is not in it does not exist; upstream has to ask again.
Source: upstream `pkg/controller/garbagecollector/garbagecollector.go` (attemptToDeleteItem and its neighbours).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from enum import Enum, auto
from typing import TypeAlias

from pylet.api.kind import Kind
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Key, Object, is_terminating, key_of, owners_of, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Delete, Emit, Patch, Plan, Watch

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_TERMINATING = b'"deletionTimestamp"'


Waiting: TypeAlias = dict[str, Key]
"""Objects, by uid, that wait for their dependents: whatever changes about one of these wakes them."""


class _Owner(Enum):
    SOLID = auto()
    """It is there and stays, or nobody can say."""
    ABSENT = auto()
    WAITING = auto()
    """It is being deleted and waits for its dependents."""


def controller(kinds: Collection[Kind]) -> Controller:
    """For the stored kinds, live: an owner of a kind that is not among them (any more, yet) is left alone."""
    stored = {kind.resource: kind for kind in kinds}
    owners = {(kind.group, kind.name): kind for kind in stored.values()}
    waiting: Waiting = {}

    def plan(key: Key, view: View, now: datetime) -> Plan:
        kind, where = _read(stored, key)
        obj = view.get(kind, where)
        for uid in [uid for uid, place in waiting.items() if place == key]:
            del waiting[uid]
        if obj is None:
            return NOTHING
        if is_terminating(obj):
            finalizers = obj["metadata"].get("finalizers") or ()
            if _FOREGROUND in finalizers:
                waiting[uid_of(obj)] = key
            elif _ORPHAN not in finalizers:
                return NOTHING
            dependents = list(_dependents(stored.values(), view, uid_of(obj)))
            if _ORPHAN in finalizers:
                return Plan(_orphan(kind, obj, dependents))
            return Plan(_await(kind, obj, dependents, stored.values(), view))
        named = {_kind_of(owner) for owner in owners_of(obj)}
        known = {name: owner for name in named if (owner := owners.get(name)) is not None and owner in kinds}
        return Plan(_judge(kind, obj, known, stored.values(), view)) if named else NOTHING

    def custom(kind: Kind) -> Watch:
        stored[kind.resource] = owners[kind.group, kind.name] = kind
        return Watch(kind, _concerned(kind, stored, waiting))

    watches = tuple(Watch(kind, _concerned(kind, stored, waiting)) for kind in stored.values())
    return Controller("garbage-collector", watches, plan, custom)


def _judge(
    kind: Kind, obj: Object, owners: dict[tuple[str, str], Kind], stored: Iterable[Kind], view: View
) -> tuple[Action, ...]:
    """What becomes of an object, by the state of its owners."""
    found = [(owner, _state(owner, obj, owners, view)) for owner in owners_of(obj)]
    states = {state for _, state in found}
    told = tuple(_astray(obj, owners, view))
    if _Owner.SOLID in states:
        if len(states) == 1:
            return told
        return (*told, _with_owners(kind, obj, [owner for owner, state in found if state is _Owner.SOLID]))
    if _Owner.WAITING in states:
        return tuple(_end(kind, obj, stored, view))
    return (*told, Delete(kind, key_of(obj), uid_of(obj), propagation="Background"))


def _astray(obj: Object, owners: dict[tuple[str, str], Kind], view: View) -> Iterator[Action]:
    """Owners in another namespace own nothing here. Source: graph_builder.go, reportInvalidNamespaceOwnerRef."""
    here = obj["metadata"].get("namespace", "")
    for owner in owners_of(obj):
        kind, name, uid = owners.get(_kind_of(owner)), owner["name"], owner["uid"]
        if kind is None or not kind.namespaced or _has(view, kind, Key(here, name), uid):
            continue
        if any(_has(view, kind, Key(namespace.name, name), uid) for namespace in view.table(NAMESPACE).entries):
            what = f"{owner['apiVersion']}/{owner['kind']}, namespace: {here}, name: {name}"
            says = f'ownerRef [{what}, uid: {uid}] does not exist in namespace "{here}"'
            yield Emit(obj, "OwnerRefInvalidNamespace", says, "Warning")


def _has(view: View, kind: Kind, key: Key, uid: str) -> bool:
    found = view.table(kind).entries.get(key)
    return found is not None and found.uid == uid


def _end(kind: Kind, obj: Object, stored: Iterable[Kind], view: View) -> Iterator[Action]:
    """Delete what an owner waits for, after what waits for this one; in a circle nobody may block."""
    dependents = [dependent for _, dependent in _dependents(stored, view, uid_of(obj))]
    if any(map(_is_waiting, dependents)):
        yield _with_owners(kind, obj, [{**owner, "blockOwnerDeletion": False} for owner in owners_of(obj)])
    yield Delete(kind, key_of(obj), uid_of(obj), propagation="Foreground" if dependents else "Background")


def _is_waiting(obj: Object) -> bool:
    return is_terminating(obj) and _FOREGROUND in (obj["metadata"].get("finalizers") or ())


def _kind_of(owner: Object) -> tuple[str, str]:
    return owner["apiVersion"].rpartition("/")[0], owner["kind"]


def _state(owner: Object, obj: Object, owners: dict[tuple[str, str], Kind], view: View) -> _Owner:
    kind = owners.get(_kind_of(owner))
    namespace = obj["metadata"].get("namespace", "")
    if kind is None or (kind.namespaced and not namespace):
        return _Owner.SOLID
    found = view.get(kind, Key(namespace if kind.namespaced else "", owner["name"]))
    if found is None or uid_of(found) != owner["uid"]:
        return _Owner.ABSENT
    return _Owner.WAITING if _is_waiting(found) else _Owner.SOLID


def _orphan(kind: Kind, obj: Object, dependents: list[tuple[Kind, Object]]) -> tuple[Action, ...]:
    uid = uid_of(obj)
    freed = tuple(
        _with_owners(of, dependent, [owner for owner in owners_of(dependent) if owner["uid"] != uid])
        for of, dependent in dependents
    )
    return (*freed, _without_finalizer(kind, obj, _ORPHAN))


def _await(
    kind: Kind, obj: Object, dependents: list[tuple[Kind, Object]], stored: Iterable[Kind], view: View
) -> tuple[Action, ...]:
    """Delete the dependents that are not on their way yet; let the owner go when none blocks it."""
    uid = uid_of(obj)
    if not any(
        owner["uid"] == uid and owner.get("blockOwnerDeletion") for _, d in dependents for owner in owners_of(d)
    ):
        return (_without_finalizer(kind, obj, _FOREGROUND),)
    actions: list[Action] = []
    for of, dependent in dependents:
        if not is_terminating(dependent) and len(owners_of(dependent)) == 1:
            actions += _end(of, dependent, stored, view)
    return tuple(actions)


def _dependents(stored: Iterable[Kind], view: View, uid: str) -> Iterator[tuple[Kind, Object]]:
    for kind in stored:
        for obj in view.owned_by(kind, uid):
            if uid_of(obj) != uid:  # who owns itself waits for others only
                yield kind, obj


def _with_owners(kind: Kind, obj: Object, owners: list[Object]) -> Patch:
    return Patch(kind, key_of(obj), {"metadata": {"uid": uid_of(obj), "ownerReferences": owners or None}})


def _without_finalizer(kind: Kind, obj: Object, finalizer: str) -> Patch:
    left = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
    return Patch(kind, key_of(obj), {"metadata": {"uid": uid_of(obj), "finalizers": left or None}})


def _concerned(kind: Kind, stored: dict[str, Kind], waiting: Waiting) -> Callable[[Entry, View], Iterable[Key]]:
    """A change concerns the object when it has an owner or is on its way out, and then what it owns or is owned by."""

    def keys(entry: Entry, view: View) -> Iterable[Key]:
        current = view.table(kind).entries.get(entry.key)
        is_gone = current is None or current.uid != entry.uid
        is_leaving = is_gone or _TERMINATING in entry.raw
        if not is_gone and (entry.owner_uids or is_leaving):
            yield _place(kind, entry.key)
        if is_leaving:
            for other in stored.values():
                for owned in view.table(other).owned_by(entry.uid):
                    yield _place(other, owned)
        for uid in entry.owner_uids:
            if uid in waiting:
                yield waiting[uid]

    return keys


def _place(kind: Kind, key: Key) -> Key:
    """The object's key with its kind: `pods/<namespace>` takes the namespace's place."""
    return Key(f"{kind.resource}/{key.namespace}", key.name)


def _read(stored: dict[str, Kind], place: Key) -> tuple[Kind, Key]:
    resource, _, namespace = place.namespace.partition("/")
    return stored[resource], Key(namespace, place.name)
