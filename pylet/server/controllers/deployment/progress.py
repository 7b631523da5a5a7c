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


def _progress(rollout: Rollout, status: Object, now: datetime) -> tuple[Object | None, timedelta | None]:
    """The Progressing condition, and when the deadline will have passed."""
    deployment, new = rollout.deployment, rollout.new
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    current = condition_of(deployment, "Progressing")
    if deadline is None or deadline == 2**31 - 1:
        return current, None
    if deployment["spec"].get("paused"):
        return condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), None
    if current is not None and current["reason"] == "DeploymentPaused":
        current = condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    named = (
        f'ReplicaSet "{new["metadata"]["name"]}"'
        if new is not None
        else f'Deployment "{deployment["metadata"]["name"]}"'
    )
    if new is not None and rollout.is_complete:
        words = f"{named} has successfully progressed."
        return condition("Progressing", "True", "NewReplicaSetAvailable", words), None
    if current is None or _has_progressed(deployment, status) or current["reason"] == "NewReplicaSetAvailable":
        progressed = condition("Progressing", "True", "ReplicaSetUpdated", f"{named} is progressing.")
        progressed["lastUpdateTime"] = timestamps.format_time(now)
        return progressed, timedelta(seconds=deadline)
    if current["reason"] in ("ProgressDeadlineExceeded", "DeploymentResumed"):
        return current, None
    since = timestamps.parse(current.get("lastUpdateTime") or timestamps.format_time(now))
    left = since + timedelta(seconds=deadline) - now
    if left > timedelta():
        return current, left
    words = f"{named} has timed out progressing."
    return condition("Progressing", "False", "ProgressDeadlineExceeded", words), None


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
