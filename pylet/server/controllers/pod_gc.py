"""Pod GC: remove pods whose node is gone, and the oldest finished ones beyond a bound.

Source: upstream `pkg/controller/podgc/gc_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, is_terminating, key_of, uid_of
from pylet.api.podtemplate import is_finished
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Delete, Patch, Plan, Watch

_FINISHED_KEPT = 12_500  # upstream's --terminated-pod-gc-threshold
_EVERYTHING = Key("", "")


def plan(key: Key, view: View, now: datetime) -> Plan:
    if key == _EVERYTHING:
        return _oldest_finished(view)
    pod = view.get(POD, key)
    if pod is None or pod["metadata"].get("deletionGracePeriodSeconds") == 0:
        return NOTHING  # gone, or only waiting for others' finalizers
    node = dig(pod, "spec", "nodeName", default="")
    if not node:
        return _delete(pod) if is_terminating(pod) else NOTHING
    if view.get(NODE, Key("", node)) is not None:
        return NOTHING
    failed = () if is_finished(pod) else (Patch(POD, key, {"status": {"phase": "Failed"}}, subresource="status"),)
    return Plan((*failed, Delete(POD, key, uid_of(pod), grace_seconds=0)))


def _delete(pod: Object) -> Plan:
    return Plan((Delete(POD, key_of(pod), uid_of(pod), grace_seconds=0),))


def _oldest_finished(view: View) -> Plan:
    table = view.table(POD)
    finished = [
        entry for phase in ("Succeeded", "Failed") for entry in table.with_field("status.phase", phase).values()
    ]
    surplus = len(finished) - _FINISHED_KEPT
    if surplus <= 0:
        return NOTHING
    oldest = sorted(finished, key=lambda entry: entry.object["metadata"]["creationTimestamp"])[:surplus]
    actions: tuple[Action, ...] = tuple(Delete(POD, entry.key, entry.uid, grace_seconds=0) for entry in oldest)
    return Plan(actions)


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    yield entry.key
    if is_finished(entry.object):
        yield _EVERYTHING


def _of_node(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key not in view.table(NODE).entries:
        yield from view.table(POD).with_field("spec.nodeName", entry.key.name)


CONTROLLER = Controller("pod-garbage-collector", (Watch(POD, _of_pod), Watch(NODE, _of_node)), plan)
