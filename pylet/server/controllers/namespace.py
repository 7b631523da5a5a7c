"""The namespace controller: a namespace that is being deleted is emptied, then let go.

Source: upstream `pkg/controller/namespace/deletion/namespaced_resources_deleter.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.kind import Kind
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Key, dig, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Delete, Plan, Update, Watch, itself

_FINALIZER = "kubernetes"
_TERMINATING = b'"deletionTimestamp"'


def controller(kinds: Iterable[Kind]) -> Controller:
    """For the stored kinds, live."""

    def inside() -> list[Kind]:
        return [kind for kind in kinds if kind.namespaced and "delete" in kind.verbs]

    def plan(key: Key, view: View, now: datetime) -> Plan:
        namespace = view.get(NAMESPACE, key)
        if namespace is None or not is_terminating(namespace):
            return NOTHING
        left = [(kind, entry) for kind in inside() for entry in view.table(kind).in_namespace(key.name).values()]
        if left:
            actions: tuple[Action, ...] = tuple(
                Delete(kind, entry.key, entry.uid, propagation="Background")
                for kind, entry in left
                if _TERMINATING not in entry.raw
            )
            return Plan(actions)
        finalizers = dig(namespace, "spec", "finalizers", default=[])
        if _FINALIZER not in finalizers:
            return NOTHING
        spec = {**namespace["spec"], "finalizers": [name for name in finalizers if name != _FINALIZER]}
        return Plan((Update(NAMESPACE, {**namespace, "spec": spec}, "finalize"),))

    watches = (Watch(NAMESPACE, itself), *(Watch(kind, _its_namespace) for kind in inside()))
    return Controller("namespace", watches, plan, lambda kind: Watch(kind, _its_namespace))


def _its_namespace(entry: Entry, view: View) -> Iterable[Key]:
    found = view.table(NAMESPACE).entries.get(Key("", entry.key.namespace))
    if found is not None and _TERMINATING in found.raw:
        yield found.key
