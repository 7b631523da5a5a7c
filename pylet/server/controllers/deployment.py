"""Deployment: replace one ReplicaSet by the next without falling below or rising above what it allows.

Source: upstream `pkg/controller/deployment` (sync.go, rolling.go, recreate.go, progress.go, util/deployment_util.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pylet.api import selector, timestamps
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
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
    uid_of,
)
from pylet.api.podtemplate import is_finished, owner_reference, scaled_value, template_hash
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
    its_controller,
    itself,
    patch_status,
)

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MOST = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    _DESIRED,
    _MOST,
    "deprecated.deployment.rollback.to",
)


@dataclass(slots=True)
class _Rollout:
    """One deployment with its ReplicaSets, and the sizes the plan gives them (`targets`, by uid)."""

    deployment: Object
    new: Object | None
    old: list[Object]
    targets: dict[str, int] = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def all(self) -> list[Object]:
        return [*self.old, self.new] if self.new is not None else self.old

    @property
    def surge(self) -> int:
        return _bounds(self.deployment)[0]

    @property
    def unavailable(self) -> int:
        return _bounds(self.deployment)[1]

    def size(self, replica_set: Object) -> int:
        return self.targets.get(uid_of(replica_set), _replicas(replica_set))

    def resize(self, replica_set: Object, size: int) -> None:
        self.targets[uid_of(replica_set)] = size

    def total(self) -> int:
        return sum(self.size(replica_set) for replica_set in self.all)

    def available(self) -> int:
        return sum(_status(replica_set, "availableReplicas") for replica_set in self.all)

    @property
    def is_complete(self) -> bool:
        new = self.new
        return (
            new is not None
            and _status(new, "replicas") == self.replicas
            and _status(new, "availableReplicas") == self.replicas
            and sum(_status(replica_set, "replicas") for replica_set in self.all) == self.replicas
        )


def plan(key: Key, view: View, now: datetime) -> Plan:
    deployment = view.get(DEPLOYMENT, key)
    if deployment is None:
        return NOTHING
    rollout = _rollout(deployment, view)
    if is_terminating(deployment):
        return _with_status(rollout, (), now)
    if adoptions := _adoptions(deployment, view):
        return Plan(adoptions)
    paused = bool(deployment["spec"].get("paused"))
    if rollout.new is None and not paused and not _must_wait(rollout, view):
        return Plan(_create_new(rollout, view))
    revision = _number_new(rollout)
    if paused or _was_scaled(rollout):
        _scale_in_proportion(rollout)
    elif deployment["spec"]["strategy"].get("type") == "Recreate":
        _recreate(rollout, view)
    else:
        _roll(rollout)
    changes = (*revision, *_resizes(rollout))
    if not changes and rollout.is_complete:
        changes = _forget_old(rollout)
    return _with_status(rollout, changes, now)


# ---- who belongs to it


def _rollout(deployment: Object, view: View) -> _Rollout:
    owned = sorted(
        view.owned_by(REPLICA_SET, uid_of(deployment)),
        key=lambda replica_set: (replica_set["metadata"]["creationTimestamp"], replica_set["metadata"]["name"]),
    )
    template = _comparable(deployment["spec"]["template"])
    new = next((candidate for candidate in owned if _comparable(candidate["spec"]["template"]) == template), None)
    return _Rollout(deployment, new, [replica_set for replica_set in owned if replica_set is not new])


def _comparable(template: Object) -> Object:
    """A template without the label that tells ReplicaSets apart."""
    meta = template.get("metadata") or {}
    labels = {name: value for name, value in (meta.get("labels") or {}).items() if name != HASH_LABEL}
    return {"metadata": {**meta, "labels": labels, "creationTimestamp": None}, "spec": template["spec"]}


def _adoptions(deployment: Object, view: View) -> tuple[Action, ...]:
    matches = selector.from_object(deployment["spec"]["selector"])
    orphans = [
        replica_set
        for replica_set in view.select(REPLICA_SET, deployment["metadata"]["namespace"], matches)
        if controller_of(replica_set) is None and not is_terminating(replica_set)
    ]
    owner = owner_reference(deployment, DEPLOYMENT)
    return tuple(
        Patch(REPLICA_SET, key_of(orphan), {"metadata": {"uid": uid_of(orphan), "ownerReferences": [owner]}})
        for orphan in orphans
    )


# ---- the new ReplicaSet


def _create_new(rollout: _Rollout, view: View) -> tuple[Action, ...]:
    deployment = rollout.deployment
    meta = deployment["metadata"]
    collisions = _status(deployment, "collisionCount")
    template = deployment["spec"]["template"]
    suffix = template_hash(template, collisions)
    name = f"{meta['name']}-{suffix}"
    if view.get(REPLICA_SET, Key(meta["namespace"], name)) is not None:
        # The name is taken by somebody else's: upstream counts the collision and hashes again.
        return (Patch(DEPLOYMENT, key_of(deployment), {"status": {"collisionCount": collisions + 1}}, "status"),)
    labels = {**(dig(template, "metadata", "labels", default={})), HASH_LABEL: suffix}
    size = _surged(rollout, 0)
    spec: Object = {
        "replicas": size,
        "selector": {
            **deployment["spec"]["selector"],
            "matchLabels": {**(deployment["spec"]["selector"].get("matchLabels") or {}), HASH_LABEL: suffix},
        },
        "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
    }
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    replica_set: Object = {
        "apiVersion": REPLICA_SET.api_version,
        "kind": REPLICA_SET.name,
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": {
                **_copied(deployment),
                REVISION: str(_highest(rollout.old) + 1),
                **_size_annotations(rollout),
            },
            "ownerReferences": [owner_reference(deployment, DEPLOYMENT)],
        },
        "spec": spec,
    }
    failed = Emit(
        deployment, "ReplicaSetCreateError", f'Failed to create new replica set "{name}": {{error}}', "Warning"
    )
    told = Emit(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}") if size else None
    return (Create(REPLICA_SET, replica_set, told, failed),)


def _number_new(rollout: _Rollout) -> tuple[Action, ...]:
    """Give the new ReplicaSet the highest revision (a rollback reuses an old one), and the deployment the same."""
    new, deployment = rollout.new, rollout.deployment
    if new is None:
        return ()
    actions: list[Action] = []
    revision = str(max(_revision(new), _highest(rollout.old) + 1))
    wanted = {**_copied(deployment), REVISION: revision}
    if any(annotations_of(new).get(name) != value for name, value in wanted.items()):
        actions.append(Patch(REPLICA_SET, key_of(new), {"metadata": {"annotations": wanted}}))
    if annotations_of(deployment).get(REVISION) != revision:
        actions.append(Patch(DEPLOYMENT, key_of(deployment), {"metadata": {"annotations": {REVISION: revision}}}))
    return tuple(actions)


def _copied(deployment: Object) -> dict[str, str]:
    return {name: value for name, value in annotations_of(deployment).items() if name not in _NOT_COPIED}


def _revision(replica_set: Object) -> int:
    text = annotations_of(replica_set).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def _highest(replica_sets: Iterable[Object]) -> int:
    return max(map(_revision, replica_sets), default=0)


# ---- sizes


def _bounds(deployment: Object) -> tuple[int, int]:
    """How many pods above and below the wanted number a rolling update may go (ResolveFenceposts)."""
    spec = deployment["spec"]
    if spec["strategy"].get("type") == "Recreate":
        return 0, 0
    rolling, replicas = spec["strategy"].get("rollingUpdate") or {}, int(spec.get("replicas", 1))
    surge = scaled_value(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    if not surge and not unavailable:
        unavailable = 1
    return surge, min(unavailable, replicas)


def _surged(rollout: _Rollout, now_at: int) -> int:
    """The size the new ReplicaSet may grow to (NewRSNewReplicas)."""
    if rollout.deployment["spec"]["strategy"].get("type") == "Recreate":
        return rollout.replicas
    room = rollout.replicas + rollout.surge - rollout.total()
    return now_at + max(0, min(room, rollout.replicas - now_at))


def _roll(rollout: _Rollout) -> None:
    new = rollout.new
    assert new is not None
    size = _replicas(new)
    if size > rollout.replicas:
        rollout.resize(new, rollout.replicas)
    elif size < rollout.replicas:
        rollout.resize(new, _surged(rollout, size))
    if rollout.size(new) == size:
        _shrink_old(rollout, new)


def _shrink_old(rollout: _Rollout, new: Object) -> None:
    least = rollout.replicas - rollout.unavailable
    new_unavailable = _replicas(new) - _status(new, "availableReplicas")
    spare = rollout.total() - least - new_unavailable
    if spare <= 0:
        return
    for replica_set in rollout.old:  # the unhealthy first: they are no loss
        if spare > 0 and (broken := _replicas(replica_set) - _status(replica_set, "availableReplicas")) > 0:
            gone = min(spare, broken)
            rollout.resize(replica_set, _replicas(replica_set) - gone)
            spare -= gone
    spare = rollout.available() - least
    for replica_set in rollout.old:
        if spare > 0 and (size := rollout.size(replica_set)) > 0:
            gone = min(spare, size)
            rollout.resize(replica_set, size - gone)
            spare -= gone


def _recreate(rollout: _Rollout, view: View) -> None:
    for replica_set in rollout.old:
        rollout.resize(replica_set, 0)
    if rollout.new is not None and not _must_wait(rollout, view):
        rollout.resize(rollout.new, rollout.replicas)


def _must_wait(rollout: _Rollout, view: View) -> bool:
    """Recreate: nothing new while anything old runs; the old ones are shrunk first."""
    if rollout.deployment["spec"]["strategy"].get("type") != "Recreate":
        return False
    pods = [pod for replica_set in rollout.old for pod in view.owned_by(POD, uid_of(replica_set))]
    return any(_replicas(old) for old in rollout.old) or any(not is_finished(pod) for pod in pods)


def _was_scaled(rollout: _Rollout) -> bool:
    return any(
        _replicas(replica_set) > 0
        and (desired := annotations_of(replica_set).get(_DESIRED, "")).isdecimal()
        and int(desired) != rollout.replicas
        for replica_set in rollout.all
    )


def _scale_in_proportion(rollout: _Rollout) -> None:
    """A change of the wanted number during a roll-out goes to all ReplicaSets by their share (sync.go, scale)."""
    active = [replica_set for replica_set in rollout.all if _replicas(replica_set) > 0]
    if len(active) <= 1:
        only = active[0] if active else rollout.new
        if only is not None:
            rollout.resize(only, rollout.replicas)
        return
    if rollout.new is not None and _status(rollout.new, "availableReplicas") >= rollout.replicas == _replicas(
        rollout.new
    ):
        for replica_set in rollout.old:
            rollout.resize(replica_set, 0)
        return
    if rollout.deployment["spec"]["strategy"].get("type") == "Recreate":
        return
    allowed = rollout.replicas + rollout.surge if rollout.replicas > 0 else 0
    to_add = allowed - rollout.total()
    newest_first = sorted(active, key=lambda r: r["metadata"]["creationTimestamp"], reverse=True)
    ordered = (
        sorted(newest_first, key=_replicas, reverse=True)
        if to_add > 0
        else sorted(newest_first[::-1], key=_replicas, reverse=True)
    )
    added = 0
    for replica_set in ordered:
        share = _share(rollout, replica_set, to_add, added, allowed)
        rollout.resize(replica_set, _replicas(replica_set) + share)
        added += share
    if ordered and added != to_add:  # what rounding left over
        rollout.resize(ordered[0], max(0, rollout.size(ordered[0]) + to_add - added))


def _share(rollout: _Rollout, replica_set: Object, to_add: int, added: int, allowed: int) -> int:
    size = _replicas(replica_set)
    recorded = annotations_of(replica_set).get(_MOST, "")
    before = int(recorded) if recorded.isdecimal() and int(recorded) else rollout.total()
    fraction = round(size * allowed / before) - size if before else 0
    left = to_add - added
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _resizes(rollout: _Rollout) -> tuple[Action, ...]:
    annotations = _size_annotations(rollout)
    actions: list[Action] = []
    for replica_set in rollout.all:
        old, new = _replicas(replica_set), rollout.size(replica_set)
        stale = new > 0 and any(annotations_of(replica_set).get(name) != value for name, value in annotations.items())
        if old == new and not stale:
            continue
        told = None
        if old != new:
            way, name = "up" if new > old else "down", replica_set["metadata"]["name"]
            words = f"Scaled {way} replica set {name} from {old} to {new}"
            told = Emit(rollout.deployment, "ScalingReplicaSet", words)
        change = {"metadata": {"annotations": annotations}, "spec": {"replicas": new}}
        actions.append(Patch(REPLICA_SET, key_of(replica_set), change, told=told))
    return tuple(actions)


def _size_annotations(rollout: _Rollout) -> dict[str, str]:
    return {_DESIRED: str(rollout.replicas), _MOST: str(rollout.replicas + rollout.surge)}


def _forget_old(rollout: _Rollout) -> tuple[Action, ...]:
    limit = rollout.deployment["spec"].get("revisionHistoryLimit", 10)
    empty = [
        replica_set
        for replica_set in sorted(rollout.old, key=_revision)
        if not _replicas(replica_set) and not _status(replica_set, "replicas") and not is_terminating(replica_set)
    ]
    surplus = len(rollout.old) - limit
    return tuple(Delete(REPLICA_SET, key_of(gone), uid_of(gone)) for gone in empty[: max(0, surplus)])


# ---- status


def _with_status(rollout: _Rollout, changes: tuple[Action, ...], now: datetime) -> Plan:
    deployment = rollout.deployment
    actual = sum(_status(replica_set, "replicas") for replica_set in rollout.all)
    available = rollout.available()
    status: Object = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": actual,
        "updatedReplicas": _status(rollout.new, "replicas") if rollout.new is not None else 0,
        "readyReplicas": sum(_status(replica_set, "readyReplicas") for replica_set in rollout.all),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(_replicas, rollout.all)) - available),
        "terminatingReplicas": sum(_status(replica_set, "terminatingReplicas") for replica_set in rollout.all),
        "collisionCount": _status(deployment, "collisionCount"),
    }
    progressing, again_after = _progress(rollout, status, now)
    conditions = [_availability(rollout, available), progressing]
    kept = [
        c for c in dig(deployment, "status", "conditions", default=()) if c["type"] not in ("Available", "Progressing")
    ]
    status["conditions"] = [
        *kept,
        *(_stamped(deployment, condition, now) for condition in conditions if condition is not None),
    ]
    return Plan((*changes, *patch_status(DEPLOYMENT, deployment, status)), again_after)


def _availability(rollout: _Rollout, available: int) -> Object:
    if available >= rollout.replicas - rollout.unavailable:
        return _condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    words = "Deployment does not have minimum availability."
    return _condition("Available", "False", "MinimumReplicasUnavailable", words)


def _progress(rollout: _Rollout, status: Object, now: datetime) -> tuple[Object | None, timedelta | None]:
    """The Progressing condition, and when the deadline will have passed."""
    deployment, new = rollout.deployment, rollout.new
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    current = condition_of(deployment, "Progressing")
    if deadline is None or deadline == 2**31 - 1:
        return current, None
    if deployment["spec"].get("paused"):
        return _condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), None
    if current is not None and current["reason"] == "DeploymentPaused":
        current = _condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    named = (
        f'ReplicaSet "{new["metadata"]["name"]}"'
        if new is not None
        else f'Deployment "{deployment["metadata"]["name"]}"'
    )
    if new is not None and rollout.is_complete:
        words = f"{named} has successfully progressed."
        return _condition("Progressing", "True", "NewReplicaSetAvailable", words), None
    if current is None or _has_progressed(deployment, status) or current["reason"] == "NewReplicaSetAvailable":
        progressed = _condition("Progressing", "True", "ReplicaSetUpdated", f"{named} is progressing.")
        progressed["lastUpdateTime"] = timestamps.format_time(now)
        return progressed, timedelta(seconds=deadline)
    if current["reason"] in ("ProgressDeadlineExceeded", "DeploymentResumed"):
        return current, None
    since = timestamps.parse(current.get("lastUpdateTime") or timestamps.format_time(now))
    left = since + timedelta(seconds=deadline) - now
    if left > timedelta():
        return current, left
    words = f"{named} has timed out progressing."
    return _condition("Progressing", "False", "ProgressDeadlineExceeded", words), None


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


def _condition(type_: str, state: str, reason: str, message: str) -> Object:
    return {"type": type_, "status": state, "reason": reason, "message": message}


def _stamped(deployment: Object, condition: Object, now: datetime) -> Object:
    """The condition with its times: the transition's stays with the status, the update's while nothing changed."""
    current, stamp = condition_of(deployment, condition["type"]), timestamps.format_time(now)
    if current is None:
        return {"lastUpdateTime": stamp, **condition, "lastTransitionTime": stamp}
    same = all(current.get(name) == condition.get(name) for name in ("status", "reason", "message"))
    return {
        **condition,
        "lastUpdateTime": condition.get("lastUpdateTime") or (current.get("lastUpdateTime") if same else stamp),
        "lastTransitionTime": current["lastTransitionTime"] if current["status"] == condition["status"] else stamp,
    }


def _replicas(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _status(obj: Object, name: str) -> Any:
    return int((obj.get("status") or {}).get(name) or 0)


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    """Recreate waits for the end of old pods, so a pod's end concerns its ReplicaSet's deployment."""
    owner = controller_of(entry.object)
    if owner is None or owner["kind"] != REPLICA_SET.name or labels_of(entry.object).get(HASH_LABEL) is None:
        return
    replica_set = view.get(REPLICA_SET, Key(entry.key.namespace, owner["name"]))
    above = controller_of(replica_set) if replica_set is not None else None
    if (
        above is not None
        and above["kind"] == DEPLOYMENT.name
        and (is_terminating(entry.object) or is_finished(entry.object))
    ):
        yield Key(entry.key.namespace, above["name"])


CONTROLLER = Controller(
    "deployment",
    (Watch(DEPLOYMENT, itself), Watch(REPLICA_SET, its_controller(DEPLOYMENT)), Watch(POD, _of_pod)),
    plan,
)
