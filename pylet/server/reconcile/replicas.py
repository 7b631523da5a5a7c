"""Keep as many pods of a template as a workload asks for: what ReplicaSet and ReplicationController do. Pure.

Source: upstream `pkg/controller/replicaset`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from pylet.aio.prometheus import Histogram
from pylet.api import timestamps
from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import (
    Key,
    Object,
    condition_of,
    conditions_of,
    controller_of,
    dig,
    is_terminating,
    key_of,
)
from pylet.api.podtemplate import available_since, pod_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.deletion import delete_pod
from pylet.server.reconcile.leaving import least_missed_beside
from pylet.server.reconcile.members import member
from pylet.server.reconcile.ownership import SelectorOf, claim, of_part
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Count,
    Create,
    Emit,
    Patch,
    Plan,
    Watch,
    itself,
    patch_status,
    soonest,
    told_of,
)

_BURST = 500  # upstream's BurstReplicas: creations or deletions of one plan
_AGES = Histogram(
    "replicaset_controller_sorting_deletion_age_ratio",
    "The age of pods that go, by the age of the youngest.",
    (),
    (0.25, 0.5, 1, 2, 4, 8),
)
_FAILURE = "ReplicaFailure"


def controller(name: str, kind: Kind, selector_of: SelectorOf) -> Controller:
    watches = (Watch(kind, itself), Watch(POD, of_part(kind, selector_of)))
    return Controller(name, watches, partial(_plan, kind, selector_of), metrics=told_of(_AGES) if kind.group else None)


def _plan(kind: Kind, selector_of: SelectorOf, key: Key, view: View, now: datetime) -> Plan:
    workload = view.get(kind, key)
    if workload is None:
        return NOTHING
    pods, claims = claim(workload, kind, view, selector_of)
    if claims:
        return Plan(claims)
    active = [pod for pod in pods if member(pod).is_active]
    missing = 0 if is_terminating(workload) else workload["spec"].get("replicas", 1) - len(active)
    scaling: tuple[Action, ...] = ()
    if missing > 0:
        scaling = _create(workload, kind, missing, now)
    elif missing < 0:
        leaving = least_missed_beside(active, _related(workload, kind, view), now)[: min(-missing, _BURST)]
        scaling = (*(delete_pod(pod.key, pod.uid, workload) for pod in leaving), *_ages(leaving, active, now))
    status, again_after = _status(workload, kind, pods, now)
    failed = condition_of(workload, _FAILURE)
    others = [condition for condition in conditions_of(workload) if condition is not failed]
    kept = [*others, failed] if failed is not None and missing > 0 else others  # it goes when nothing is missing
    if kept:
        status["conditions"] = kept
    return Plan((*patch_status(kind, workload, status), *scaling), again_after)


def _ages(leaving: Sequence[Entry], active: Sequence[Entry], now: datetime) -> Iterator[Count]:
    """How old pods that go are, by the age of the youngest; ready ones alone."""
    born = {
        pod.uid: timestamps.parse(pod.decoded()["metadata"]["creationTimestamp"]) for pod in active if _is_ready(pod)
    }
    youngest = now - max(born.values(), default=now)
    if youngest > timedelta():
        yield from (Count(_AGES, value=(now - born[pod.uid]) / youngest) for pod in leaving if pod.uid in born)


def _is_ready(pod: Entry) -> bool:
    return member(pod).is_ready


def _create(workload: Object, kind: Kind, missing: int, now: datetime) -> tuple[Action, ...]:
    pod = pod_of(workload["spec"]["template"], workload, kind)
    told = Emit(workload, "SuccessfulCreate", "Created pod: {name}")
    create = Create(POD, pod, told, partial(_refused, workload, kind, now))
    return (create,) * min(missing, _BURST)


def _refused(workload: Object, kind: Kind, now: datetime, error: ApiError) -> tuple[Action, ...]:
    """An event and, as long as it is so, a condition."""
    told = Emit(workload, "FailedCreate", f"Error creating: {error.message}", "Warning")
    if condition_of(workload, _FAILURE) is not None:
        return (told,)  # the message names a pod that never was, each time another: a write would call for the next try
    condition = {
        "type": _FAILURE,
        "status": "True",
        "reason": "FailedCreate",
        "message": error.message,
        "lastTransitionTime": timestamps.format_time(now),
    }
    others = [other for other in conditions_of(workload) if other["type"] != _FAILURE]
    return told, Patch(kind, key_of(workload), {"status": {"conditions": [*others, condition]}}, "status")


def _related(workload: Object, kind: Kind, view: View) -> list[Entry]:
    """The running pods of all that the workload's controller has made, older generations included."""
    owner = controller_of(workload)
    siblings = view.table(kind).owned_by(owner["uid"]).values() if owner is not None else ()
    pods = view.table(POD)
    return [pod for of in siblings for pod in pods.owned_by(of.uid).values() if member(pod).is_active]


def _status(workload: Object, kind: Kind, pods: Sequence[Entry], now: datetime) -> tuple[Object, timedelta | None]:
    spec = workload["spec"]
    wanted = (dig(spec, "template", "metadata", "labels", default={})).items()
    members = [member(pod) for pod in pods]
    ready = [one.ready_at for one in members if one.is_active and one.is_ready]
    waits = [available_since(since, spec.get("minReadySeconds", 0), now) for since in ready]
    status: Object = {
        "replicas": sum(one.is_active for one in members),
        "fullyLabeledReplicas": sum(member(pod).is_active and wanted <= pod.labels.items() for pod in pods),
        "readyReplicas": len(ready),
        "availableReplicas": sum(wait == timedelta() for wait in waits),
        "observedGeneration": workload["metadata"].get("generation", 0),
    }
    if kind.group:  # the core group's ReplicationController has no such field
        status["terminatingReplicas"] = sum(one.is_terminating and not one.is_finished for one in members)
    return status, soonest(*(wait for wait in waits if wait))
