"""The sizes a roll-out gives its ReplicaSets, step by step between the floor and the surge.

Source: upstream `pkg/controller/deployment/rolling.go`, recreate.go, sync.go, util/deployment_util.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Object, annotations_of, key_of, uid_of
from pylet.api.podtemplate import is_finished, scaled_value
from pylet.client.view import View
from pylet.server.reconcile.plan import Action, Emit, Patch

DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"


@dataclass(slots=True)
class Rollout:
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
        return bounds(self.deployment)[0]

    @property
    def unavailable(self) -> int:
        return bounds(self.deployment)[1]

    def size(self, replica_set: Object) -> int:
        return self.targets.get(uid_of(replica_set), replicas_of(replica_set))

    def resize(self, replica_set: Object, size: int) -> None:
        self.targets[uid_of(replica_set)] = size

    def total(self) -> int:
        return sum(self.size(replica_set) for replica_set in self.all)

    def available(self) -> int:
        return sum(count_of(replica_set, "availableReplicas") for replica_set in self.all)

    @property
    def is_complete(self) -> bool:
        new = self.new
        return (
            new is not None
            and count_of(new, "replicas") == self.replicas
            and count_of(new, "availableReplicas") == self.replicas
            and sum(count_of(replica_set, "replicas") for replica_set in self.all) == self.replicas
        )


def bounds(deployment: Object) -> tuple[int, int]:
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


def surged(rollout: Rollout, now_at: int) -> int:
    """The size the new ReplicaSet may grow to (NewRSNewReplicas)."""
    if rollout.deployment["spec"]["strategy"].get("type") == "Recreate":
        return rollout.replicas
    room = rollout.replicas + rollout.surge - rollout.total()
    return now_at + max(0, min(room, rollout.replicas - now_at))


def roll(rollout: Rollout) -> None:
    new = rollout.new
    assert new is not None
    size = replicas_of(new)
    if size > rollout.replicas:
        rollout.resize(new, rollout.replicas)
    elif size < rollout.replicas:
        rollout.resize(new, surged(rollout, size))
    if rollout.size(new) == size:
        _shrink_old(rollout, new)


def _shrink_old(rollout: Rollout, new: Object) -> None:
    least = rollout.replicas - rollout.unavailable
    new_unavailable = replicas_of(new) - count_of(new, "availableReplicas")
    spare = rollout.total() - least - new_unavailable
    if spare <= 0:
        return
    for replica_set in rollout.old:  # the unhealthy first: they are no loss
        if spare > 0 and (broken := replicas_of(replica_set) - count_of(replica_set, "availableReplicas")) > 0:
            gone = min(spare, broken)
            rollout.resize(replica_set, replicas_of(replica_set) - gone)
            spare -= gone
    spare = rollout.available() - least
    for replica_set in rollout.old:
        if spare > 0 and (size := rollout.size(replica_set)) > 0:
            gone = min(spare, size)
            rollout.resize(replica_set, size - gone)
            spare -= gone


def recreate(rollout: Rollout, view: View) -> None:
    for replica_set in rollout.old:
        rollout.resize(replica_set, 0)
    if rollout.new is not None and not must_wait(rollout, view):
        rollout.resize(rollout.new, rollout.replicas)


def must_wait(rollout: Rollout, view: View) -> bool:
    """Recreate: nothing new while anything old runs; the old ones are shrunk first."""
    if rollout.deployment["spec"]["strategy"].get("type") != "Recreate":
        return False
    pods = [pod for replica_set in rollout.old for pod in view.owned_by(POD, uid_of(replica_set))]
    return any(replicas_of(old) for old in rollout.old) or any(not is_finished(pod) for pod in pods)


def was_scaled(rollout: Rollout) -> bool:
    return any(
        replicas_of(replica_set) > 0
        and (desired := annotations_of(replica_set).get(DESIRED, "")).isdecimal()
        and int(desired) != rollout.replicas
        for replica_set in rollout.all
    )


def scale_in_proportion(rollout: Rollout) -> None:
    """A change of the wanted number during a roll-out goes to all ReplicaSets by their share (sync.go, scale)."""
    active = [replica_set for replica_set in rollout.all if replicas_of(replica_set) > 0]
    if len(active) <= 1:
        for only in active or rollout.all[-1:]:
            rollout.resize(only, rollout.replicas)
        return
    if rollout.new is not None and count_of(rollout.new, "availableReplicas") >= rollout.replicas == replicas_of(
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
        sorted(newest_first, key=replicas_of, reverse=True)
        if to_add > 0
        else sorted(newest_first[::-1], key=replicas_of, reverse=True)
    )
    added = 0
    for replica_set in ordered:
        share = _share(rollout, replica_set, to_add, added, allowed)
        rollout.resize(replica_set, replicas_of(replica_set) + share)
        added += share
    if ordered and added != to_add:  # what rounding left over
        rollout.resize(ordered[0], max(0, rollout.size(ordered[0]) + to_add - added))


def _share(rollout: Rollout, replica_set: Object, to_add: int, added: int, allowed: int) -> int:
    size = replicas_of(replica_set)
    recorded = annotations_of(replica_set).get(MOST, "")
    before = int(recorded) if recorded.isdecimal() and int(recorded) else count_of(rollout.deployment, "replicas")
    fraction = int(size * allowed / before + 0.5) - size if before else 0  # as Go rounds
    left = to_add - added
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def resizes(rollout: Rollout) -> tuple[Action, ...]:
    annotations = size_annotations(rollout)
    actions: list[Action] = []
    for replica_set in rollout.all:
        old, new = replicas_of(replica_set), rollout.size(replica_set)
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


def size_annotations(rollout: Rollout) -> dict[str, str]:
    return {DESIRED: str(rollout.replicas), MOST: str(rollout.replicas + rollout.surge)}


def replicas_of(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def count_of(obj: Object, name: str) -> int:
    return int((obj.get("status") or {}).get(name) or 0)
