"""What a Deployment's status says: the counts, and whether it is available and makes progress.

Source: upstream `pkg/controller/deployment/progress.go`, sync.go (calculateStatus).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pylet.api import timestamps
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.object import Object, condition_of, conditions_of
from pylet.server.controllers.deployment.rollout import Rollout, count_of, replicas_of
from pylet.server.reconcile.plan import Action, Plan, patch_status

_AVAILABLE, _TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
_NEVER = 2**31 - 1


def with_status(rollout: Rollout, changes: tuple[Action, ...], now: datetime) -> Plan:
    deployment = rollout.deployment
    actual = sum(count_of(replica_set, "replicas") for replica_set in rollout.all)
    available = rollout.available()
    status: Object = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": actual,
        "updatedReplicas": count_of(rollout.new, "replicas") if rollout.new is not None else 0,
        "readyReplicas": sum(count_of(replica_set, "readyReplicas") for replica_set in rollout.all),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas_of, rollout.all)) - available),
        "terminatingReplicas": sum(count_of(replica_set, "terminatingReplicas") for replica_set in rollout.all),
        "collisionCount": count_of(deployment, "collisionCount"),
    }
    progressing, again_after = _progress(rollout, status, now)
    conditions = [_availability(rollout, available), progressing, _failure(rollout)]
    kept = [c for c in conditions_of(deployment) if c["type"] not in ("Available", "Progressing", "ReplicaFailure")]
    status["conditions"] = [*kept, *(_stamped(deployment, found, now) for found in conditions if found is not None)]
    return Plan((*changes, *patch_status(DEPLOYMENT, deployment, status)), again_after)


def with_conditions(deployment: Object, conditions: Sequence[Object], now: datetime) -> tuple[Action, ...]:
    """The write that sets these conditions and leaves all else as it is."""
    named = {found["type"]: _stamped(deployment, found, now) for found in conditions}
    kept = [found for found in conditions_of(deployment) if found["type"] not in named]
    status = {**(deployment.get("status") or {}), "conditions": [*kept, *named.values()]}
    return patch_status(DEPLOYMENT, deployment, status)


def _failure(rollout: Rollout) -> Object | None:
    """What keeps a ReplicaSet from making its pods, the new one's first."""
    candidates = [rollout.new, *rollout.old] if rollout.new is not None else rollout.old
    for replica_set in candidates:
        if (failed := condition_of(replica_set, "ReplicaFailure")) is not None:
            return condition("ReplicaFailure", failed["status"], failed["reason"], failed["message"])
    return None


def _availability(rollout: Rollout, available: int) -> Object:
    if available >= rollout.replicas - rollout.unavailable:
        return condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    words = "Deployment does not have minimum availability."
    return condition("Available", "False", "MinimumReplicasUnavailable", words)


def has_deadline(deployment: Object) -> bool:
    return deployment["spec"].get("progressDeadlineSeconds", _NEVER) not in (None, _NEVER)


def _progress(rollout: Rollout, status: Object, now: datetime) -> tuple[Object | None, timedelta | None]:
    """The Progressing condition, and when the deadline will have passed."""
    deployment, new = rollout.deployment, rollout.new
    current, is_paused = condition_of(deployment, "Progressing"), bool(deployment["spec"].get("paused"))
    if not has_deadline(deployment):
        return current if is_paused else None, None
    reason = "" if current is None else current["reason"]
    if is_paused:
        if reason == _TIMED_OUT:
            return current, None
        return condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), None
    if reason == "DeploymentPaused":
        current = condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    elif reason == _AVAILABLE and status["replicas"] == status["updatedReplicas"]:
        return current, None  # what happens to its pods after a roll-out is no roll-out
    elif current is None and new is not None:
        current = condition("Progressing", "True", "FoundNewReplicaSet", f"Found new replica set {_named(new)}")
    what = f"ReplicaSet {_named(new)}" if new is not None else f"Deployment {_named(deployment)}"
    if all(status[count] == rollout.replicas for count in ("replicas", "updatedReplicas", "availableReplicas")):
        return condition("Progressing", "True", _AVAILABLE, f"{what} has successfully progressed."), None
    deadline = timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"])
    if _has_progressed(deployment, status):
        progressed = condition("Progressing", "True", "ReplicaSetUpdated", f"{what} is progressing.")
        progressed["lastUpdateTime"] = timestamps.format_time(now)
        return progressed, deadline
    if current is None or reason in (_AVAILABLE, _TIMED_OUT):
        return current, None
    left = timestamps.parse(current.get("lastUpdateTime") or timestamps.format_time(now)) + deadline - now
    if left >= timedelta():
        return current, max(left, timedelta(seconds=1))
    return condition("Progressing", "False", _TIMED_OUT, f"{what} has timed out progressing."), None


def _named(obj: Object) -> str:
    return f'"{obj["metadata"]["name"]}"'


def _has_progressed(deployment: Object, status: Object) -> bool:
    """More updated, ready or available pods than before, or fewer old ones."""
    old = deployment.get("status") or {}

    def before(name: str) -> int:
        return int(old.get(name) or 0)

    return bool(
        status["updatedReplicas"] > before("updatedReplicas")
        or status["readyReplicas"] > before("readyReplicas")
        or status["availableReplicas"] > before("availableReplicas")
        or status["replicas"] - status["updatedReplicas"] < before("replicas") - before("updatedReplicas")
    )


def condition(type_: str, state: str, reason: str, message: str) -> Object:
    return {"type": type_, "status": state, "reason": reason, "message": message}


def _stamped(deployment: Object, found: Object, now: datetime) -> Object:
    """The condition with its times: the transition's stays with the status, the update's while nothing changed."""
    current, stamp = condition_of(deployment, found["type"]), timestamps.format_time(now)
    if current is None:
        return {"lastUpdateTime": stamp, **found, "lastTransitionTime": stamp}
    same = all(current.get(name) == found.get(name) for name in ("status", "reason", "message"))
    return {
        **found,
        "lastUpdateTime": found.get("lastUpdateTime") or (current.get("lastUpdateTime") if same else stamp),
        "lastTransitionTime": current["lastTransitionTime"] if current["status"] == found["status"] else stamp,
    }
