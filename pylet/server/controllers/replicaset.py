"""ReplicaSet: keep as many pods of a template as it asks for.

Source: upstream `pkg/controller/replicaset`, and ActivePodsWithRanks of `pkg/controller/controller_utils.go` for which
pods go first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pylet.api import selector
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import (
    Key,
    Object,
    annotations_of,
    condition_of,
    controller_of,
    dig,
    is_terminating,
    key_of,
    labels_of,
    owners_of,
    uid_of,
)
from pylet.api.podtemplate import available_in, is_active, is_finished, is_ready, owner_reference, pod_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Create,
    Delete,
    Emit,
    Patch,
    Plan,
    Watch,
    itself,
    patch_status,
    soonest,
)

_BURST = 500  # upstream's BurstReplicas: creations or deletions of one plan
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def plan(key: Key, view: View, now: datetime) -> Plan:
    replica_set = view.get(REPLICA_SET, key)
    if replica_set is None:
        return NOTHING
    pods, claims = _claim(replica_set, view)
    if claims:
        return Plan(claims)
    active = [pod for pod in pods if is_active(pod)]
    scaling: tuple[Action, ...] = ()
    if not is_terminating(replica_set):
        missing = replica_set["spec"].get("replicas", 1) - len(active)
        if missing > 0:
            scaling = _create(replica_set, missing)
        elif missing < 0:
            scaling = _delete(replica_set, active, -missing)
    status, again_after = _status(replica_set, pods, now)
    return Plan((*patch_status(REPLICA_SET, replica_set, status), *scaling), again_after)


def _claim(replica_set: Object, view: View) -> tuple[list[Object], tuple[Action, ...]]:
    """Its pods, and what makes ownership follow the selector: release what no longer matches, adopt what does."""
    uid, namespace = uid_of(replica_set), replica_set["metadata"]["namespace"]
    matches = selector.from_object(replica_set["spec"]["selector"])
    owned, claims = [], []
    for pod in view.owned_by(POD, uid):
        if matches(labels_of(pod)) or is_terminating(pod):
            owned.append(pod)
        elif (owner := controller_of(pod)) is not None and owner["uid"] == uid:
            claims.append(_own(pod, [owner for owner in owners_of(pod) if owner["uid"] != uid]))
    if not is_terminating(replica_set):
        for entry in view.table(POD).in_namespace(namespace).values():
            if matches(entry.labels) and uid not in entry.owner_uids and _is_orphan(entry.object):
                claims.append(_own(entry.object, [*owners_of(entry.object), owner_reference(replica_set, REPLICA_SET)]))
    return owned, tuple(claims)


def _own(pod: Object, owners: Sequence[Object]) -> Action:
    return Patch(POD, key_of(pod), {"metadata": {"uid": uid_of(pod), "ownerReferences": list(owners)}})


def _is_orphan(pod: Object) -> bool:
    return controller_of(pod) is None and is_active(pod)


def _create(replica_set: Object, missing: int) -> tuple[Action, ...]:
    pod = pod_of(replica_set["spec"]["template"], replica_set, REPLICA_SET)
    told = Emit(replica_set, "SuccessfulCreate", "Created pod: {name}")
    failed = Emit(replica_set, "FailedCreate", "Error creating: {error}", "Warning")
    return tuple(Create(POD, pod, told, failed) for _ in range(min(missing, _BURST)))


def _delete(replica_set: Object, active: list[Object], surplus: int) -> tuple[Action, ...]:
    crowd = Counter(dig(pod, "spec", "nodeName", default="") for pod in active)
    ranked = sorted(active, key=lambda pod: _value(pod, crowd))
    return tuple(
        Delete(
            POD,
            key_of(pod),
            uid_of(pod),
            told=Emit(replica_set, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}"),
        )
        for pod in ranked[: min(surplus, _BURST)]
    )


def _value(pod: Object, crowd: Counter[str]) -> tuple[Any, ...]:
    """What would be missed less comes first."""
    node = dig(pod, "spec", "nodeName", default="")
    ready = condition_of(pod, "Ready") if is_ready(pod) else None
    statuses = dig(pod, "status", "containerStatuses", default=())
    return (
        bool(node),
        _PHASE_RANK.get(dig(pod, "status", "phase"), 0),
        ready is not None,
        _deletion_cost(pod),
        -crowd[node],
        _newest_first(ready.get("lastTransitionTime") if ready else ""),
        -max((status.get("restartCount", 0) for status in statuses), default=0),
        _newest_first(pod["metadata"].get("creationTimestamp")),
    )


def _deletion_cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get("controller.kubernetes.io/pod-deletion-cost", "0"))
    except ValueError:
        return 0


def _newest_first(stamp: str | None) -> tuple[int, ...]:
    """A sort key that puts later RFC 3339 times first."""
    return tuple(-ord(char) for char in stamp or "")


def _status(replica_set: Object, pods: Iterable[Object], now: datetime) -> tuple[Object, timedelta | None]:
    spec = replica_set["spec"]
    wanted = (dig(spec, "template", "metadata", "labels", default={})).items()
    active = [pod for pod in pods if is_active(pod)]
    waits = [available_in(pod, spec.get("minReadySeconds", 0), now) for pod in active]
    status = {
        **{name: value for name, value in (replica_set.get("status") or {}).items() if name == "conditions"},
        "replicas": len(active),
        "fullyLabeledReplicas": sum(wanted <= labels_of(pod).items() for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(wait == timedelta() for wait in waits),
        "terminatingReplicas": sum(is_terminating(pod) and not is_finished(pod) for pod in pods),
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    return status, soonest(*(wait for wait in waits if wait))


def _concerned(entry: Entry, view: View) -> Iterable[Key]:
    """A pod concerns the ReplicaSet that controls it; one nobody controls, all that would select it."""
    pod = entry.object
    owner = controller_of(pod)
    if owner is not None:
        if owner["kind"] == REPLICA_SET.name:
            yield Key(entry.key.namespace, owner["name"])
        return
    for candidate in view.table(REPLICA_SET).in_namespace(entry.key.namespace).values():
        if selector.from_object(candidate.object["spec"]["selector"])(entry.labels):
            yield candidate.key


CONTROLLER = Controller("replicaset", (Watch(REPLICA_SET, itself), Watch(POD, _concerned)), plan)
