"""Pod GC: remove pods whose node is gone or out of service, and the oldest finished ones beyond a bound.

Source: upstream `pkg/controller/podgc/gc_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pylet.aio.prometheus import Counter
from pylet.api.errors import ApiError
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, is_terminating, is_true, key_of, uid_of
from pylet.api.podtemplate import TERMINAL, is_finished
from pylet.client.view import Entry, View
from pylet.server.reconcile.eviction import disrupted
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Count, Delete, Patch, Plan, Watch, told_of

_FINISHED_KEPT = 12_500  # upstream's --terminated-pod-gc-threshold
_EVERYTHING = Key("", "")
_QUARANTINE = timedelta(seconds=40)
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_OF_POD = ("namespace", "reason")
_REMOVED = Counter("pod_gc_collector_force_delete_pods_total", "Pods removed.", _OF_POD)
_FAILED = Counter("pod_gc_collector_force_delete_pod_errors_total", "Pods that could not be removed.", _OF_POD)
_ORPHANED = "DeletionByPodGC", "PodGC: node no longer exists"


def controller() -> Controller:
    missing: dict[str, datetime] = {}  # nodes that pods name and that are not there, and since when that is known

    def plan(key: Key, view: View, now: datetime) -> Plan:
        if key == _EVERYTHING:
            return _oldest_finished(view)
        pod = view.get(POD, key)
        if pod is None:
            for name in [name for name in missing if not view.table(POD).with_field("spec.nodeName", name)]:
                del missing[name]
            return NOTHING
        if pod["metadata"].get("deletionGracePeriodSeconds") == 0:
            return NOTHING  # it only waits for others' finalizers
        name = dig(pod, "spec", "nodeName", default="")
        if not name:
            return Plan(_remove(pod, "unscheduled")) if is_terminating(pod) else NOTHING
        node = view.get(NODE, Key("", name))
        if node is not None:
            missing.pop(name, None)
            if is_terminating(pod) and _is_out_of_service(node):
                return Plan(_remove(pod, "out-of-service"))
            return NOTHING
        left = missing.setdefault(name, now) + _QUARANTINE - now
        if left > timedelta():
            return Plan(again_after=left)
        return Plan(_remove(pod, "orphaned", disrupted(pod, *_ORPHANED, now)))

    return Controller(
        "pod-garbage-collector",
        (Watch(POD, _of_pod, _standing), Watch(NODE, _of_node)),
        plan,
        metrics=told_of(_REMOVED, _FAILED),
    )


def _standing(pod: Object) -> object:
    """What of a pod says whether it may stay."""
    meta = pod["metadata"]
    grace = meta.get("deletionGracePeriodSeconds")
    return dig(pod, "spec", "nodeName"), meta.get("deletionTimestamp"), grace, is_finished(pod)


def _is_out_of_service(node: Object) -> bool:
    """Somebody promised that it is off, so nothing of it runs any more."""
    return not is_true(node, "Ready") and any(
        taint["key"] == _OUT_OF_SERVICE for taint in dig(node, "spec", "taints", default=())
    )


def _remove(pod: Object, reason: str, conditions: list[Object] | None = None) -> tuple[Action, ...]:
    delete = _delete(key_of(pod), uid_of(pod), reason)
    if is_finished(pod):
        return delete
    status: Object = {"phase": "Failed", "observedGeneration": pod["metadata"].get("generation", 0)}
    if conditions is not None:
        status["conditions"] = conditions
    return Patch(POD, key_of(pod), {"metadata": {"uid": uid_of(pod)}, "status": status}, "status"), *delete


def _delete(key: Key, uid: str, reason: str) -> tuple[Delete, Count]:
    def refused(error: ApiError) -> tuple[Action, ...]:
        return (Count(_FAILED, (key.namespace, reason)),)

    return Delete(POD, key, uid, grace_seconds=0, refused=refused), Count(_REMOVED, (key.namespace, reason))


def _oldest_finished(view: View) -> Plan:
    table = view.table(POD)
    finished = [entry for phase in TERMINAL for entry in table.with_field("status.phase", phase).values()]
    surplus = len(finished) - _FINISHED_KEPT
    if surplus <= 0:
        return NOTHING
    oldest = sorted(finished, key=_evicted_first)[:surplus]
    deletes, counts = zip(*(_delete(entry.key, entry.uid, "terminated") for entry in oldest), strict=True)
    return Plan((*deletes, *counts))


def _evicted_first(entry: Entry) -> tuple[bool, str, str]:
    pod = entry.object
    is_evicted = dig(pod, "status", "phase") == "Failed" and dig(pod, "status", "reason") == "Evicted"
    return not is_evicted, pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    yield entry.key
    if is_finished(entry.object):
        yield _EVERYTHING


def _of_node(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key not in view.table(NODE).entries or _OUT_OF_SERVICE.encode() in entry.raw:
        yield from view.table(POD).with_field("spec.nodeName", entry.key.name)


CONTROLLER = controller()
