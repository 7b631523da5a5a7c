"""The namespace controller: a namespace that is being deleted is emptied, then let go.

Source: upstream `pkg/controller/namespace/deletion/namespaced_resources_deleter.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, conditions_of, dig, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Delete, Plan, Update, Watch, itself, patch_status

_FINALIZER = "kubernetes"
_TERMINATING = b'"deletionTimestamp"'
_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}
_LOOK_AGAIN = timedelta(seconds=2)

_Left: TypeAlias = list[tuple[Kind, Entry]]


def controller(kinds: Iterable[Kind]) -> Controller:
    """For the stored kinds, live."""

    def inside() -> list[Kind]:
        return [kind for kind in kinds if kind.namespaced and "delete" in kind.verbs]

    told_at: dict[Key, datetime] = {}
    refusals: dict[Key, dict[Kind, str]] = {}  # what kept the objects of a kind from being deleted

    def plan(key: Key, view: View, now: datetime) -> Plan:
        namespace = view.get(NAMESPACE, key)
        if namespace is None or not is_terminating(namespace):
            told_at.pop(key, None)
            refusals.pop(key, None)
            return NOTHING
        finalizers = dig(namespace, "spec", "finalizers", default=[])
        if not finalizers:
            return NOTHING
        left: _Left = [(POD, entry) for entry in view.table(POD).in_namespace(key.name).values()]
        if not left:  # pods go first, before what protects or feeds them
            left = [(kind, entry) for kind in inside() for entry in view.table(kind).in_namespace(key.name).values()]
        known = refusals.setdefault(key, {})
        staying = [(kind, entry) for kind, entry in left if _TERMINATING not in entry.raw]
        refused = {kind: _refused(namespace, kind, known, now) for kind, _ in staying}
        for kind in known.keys() - refused.keys():
            del known[kind]
        if staying:
            last = {kind: place for place, kind in enumerate(known, 1)}  # what is refused keeps nothing else
            staying.sort(key=lambda one: last.get(one[0], 0))
            deletes = (
                Delete(kind, entry.key, entry.uid, propagation="Background", refused=refused[kind])
                for kind, entry in staying
            )
            return Plan(tuple(deletes), _LOOK_AGAIN)  # what stays after that is told of
        told = _told(namespace, left, now)
        if left and told and (wait := told_at.get(key, now - _LOOK_AGAIN) + _LOOK_AGAIN - now) > timedelta():
            return Plan(again_after=wait)  # not a write for every object that goes
        if left or told:
            told_at[key] = now
            return Plan(told)
        if _FINALIZER not in finalizers:
            return NOTHING
        spec = {**namespace["spec"], "finalizers": [name for name in finalizers if name != _FINALIZER]}
        return Plan((Update(NAMESPACE, {**namespace, "spec": spec}, "finalize"),))

    watches = (Watch(NAMESPACE, itself), *(Watch(kind, _its_namespace) for kind in inside()))
    return Controller("namespace", watches, plan, lambda kind: Watch(kind, _its_namespace), longest_wait=60)


def _refused(
    namespace: Object, kind: Kind, known: dict[Kind, str], now: datetime
) -> Callable[[ApiError], tuple[Action, ...]]:
    def told(error: ApiError) -> tuple[Action, ...]:
        known.pop(kind, None)
        known[kind] = error.message
        if kind is POD:
            name = namespace["metadata"]["name"]
            known[kind] = f"failed to delete pods for namespace: {name}, err: {error.message}"
        message = f"Failed to delete all resource types, {len(known)} remaining: {', '.join(sorted(known.values()))}"
        return _conditions(namespace, {"NamespaceDeletionContentFailure": ("ContentDeletionFailed", message)}, now)

    return told


def _told(namespace: Object, left: _Left, now: datetime) -> tuple[Action, ...]:
    """What keeps the namespace, as conditions. Source: deletion/status_condition_utils.go."""
    resources = Counter(kind for kind, _ in left)
    finalizers = Counter(name for _, entry in left for name in entry.object["metadata"].get("finalizers") or ())
    wrong: dict[str, tuple[str, str]] = {}
    only_pods = list(resources) == [POD]
    if resources and not only_pods:
        listed = sorted(
            f"{kind.plural}.{kind.group} has {count} resource instances" for kind, count in resources.items()
        )
        wrong["NamespaceContentRemaining"] = (
            "SomeResourcesRemain",
            f"Some resources are remaining: {', '.join(listed)}",
        )
    if finalizers and not only_pods:
        listed = sorted(f"{name} in {count} resource instances" for name, count in finalizers.items())
        wrong["NamespaceFinalizersRemaining"] = (
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {', '.join(listed)}",
        )
    return _conditions(namespace, wrong, now)


def _conditions(namespace: Object, wrong: Mapping[str, tuple[str, str]], now: datetime) -> tuple[Action, ...]:
    conditions = list(conditions_of(namespace))
    for type_, fine in _FINE.items():
        reason, message = wrong.get(type_, fine)
        fresh = {"type": type_, "status": str(type_ in wrong), "reason": reason, "message": message}
        conditions = with_condition(conditions, fresh, now)
    return patch_status(NAMESPACE, namespace, {**(namespace.get("status") or {}), "conditions": conditions})


def _its_namespace(entry: Entry, view: View) -> Iterable[Key]:
    found = view.table(NAMESPACE).entries.get(Key("", entry.key.namespace))
    if found is not None and _TERMINATING in found.raw:
        yield found.key
