"""How far a roll-out is, and the revisions it can go back to. Pure.

Source: kubectl `pkg/polymorphichelpers` rollout_status.go, history.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pylet.api.object import Object, annotations_of, condition_of, controller_of, dig
from pylet.cli.failure import Failure

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
KINDS = ("Deployment", "DaemonSet", "StatefulSet")


def status(obj: Object, revision: int = 0) -> tuple[str, bool]:
    """What is still to wait for, and whether it is over. Raises: Failure."""
    match obj["kind"]:
        case "DaemonSet":
            return _daemon_set(obj)
        case "StatefulSet":
            return _stateful_set(obj)
    return _deployment(obj, revision)


def _deployment(deployment: Object, revision: int) -> tuple[str, bool]:
    name = json.dumps(deployment["metadata"]["name"])
    spec, status = deployment["spec"], deployment.get("status") or {}
    if revision:
        current = int(annotations_of(deployment).get(REVISION) or 0)
        if current != revision:
            raise Failure(f"error: desired revision ({revision}) is different from the running revision ({current})")
    if dig(deployment, "metadata", "generation", default=0) > status.get("observedGeneration", 0):
        return "Waiting for deployment spec update to be observed...", False
    progressing = condition_of(deployment, "Progressing") or {}
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        raise Failure(f"error: deployment {name} exceeded its progress deadline")
    updated, wanted = status.get("updatedReplicas", 0), spec.get("replicas", 1)
    total, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    waiting = f"Waiting for deployment {name} rollout to finish: "
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new replicas have been updated...", False
    if total > updated:
        return f"{waiting}{total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting}{available} of {updated} updated replicas are available...", False
    return f"deployment {name} successfully rolled out", True


def _daemon_set(daemon_set: Object) -> tuple[str, bool]:
    name, status_ = json.dumps(daemon_set["metadata"]["name"]), daemon_set.get("status") or {}
    _refuse_on_delete(daemon_set)
    if daemon_set["metadata"].get("generation", 0) > status_.get("observedGeneration", 0):
        return "Waiting for daemon set spec update to be observed...", False
    waiting = f"Waiting for daemon set {name} rollout to finish: "
    updated, wanted = status_.get("updatedNumberScheduled", 0), status_.get("desiredNumberScheduled", 0)
    available = status_.get("numberAvailable", 0)
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new pods have been updated...", False
    if available < wanted:
        return f"{waiting}{available} of {wanted} updated pods are available...", False
    return f"daemon set {name} successfully rolled out", True


def _stateful_set(stateful_set: Object) -> tuple[str, bool]:
    spec, status_ = stateful_set["spec"], stateful_set.get("status") or {}
    _refuse_on_delete(stateful_set)
    observed = status_.get("observedGeneration", 0)
    if not observed or stateful_set["metadata"].get("generation", 0) > observed:
        return "Waiting for statefulset spec update to be observed...", False
    wanted, updated = spec.get("replicas", 1), status_.get("updatedReplicas", 0)
    if (missing := wanted - status_.get("readyReplicas", 0)) > 0:
        return f"Waiting for {missing} pods to be ready...", False
    rolling = dig(spec, "updateStrategy", "rollingUpdate")
    if rolling is not None:
        goal = wanted - rolling.get("partition", wanted)
        if updated < goal:
            told = f"{updated} out of {goal} new pods have been updated..."
            return f"Waiting for partitioned roll out to finish: {told}", False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    revision = status_.get("updateRevision", "")
    if revision != status_.get("currentRevision", ""):
        return f"waiting for statefulset rolling update to complete {updated} pods at revision {revision}...", False
    current = status_.get("currentReplicas", 0)
    return f"statefulset rolling update complete {current} pods at revision {revision}...", True


def _refuse_on_delete(obj: Object) -> None:
    if dig(obj, "spec", "updateStrategy", "type") != "RollingUpdate":
        raise Failure("error: rollout status is only available for RollingUpdate strategy type")


@dataclass(frozen=True, slots=True)
class Revision:
    """A pod template that once was, and what keeps it: a ReplicaSet or a ControllerRevision."""

    keeper: Object
    template: Object

    @property
    def cause(self) -> str:
        return annotations_of(self.keeper).get(CAUSE, "")


def revisions(owner: Object, keepers: Iterable[Object]) -> dict[int, Revision]:
    """Of the ReplicaSets or ControllerRevisions that `owner` controls, by number."""
    found = {}
    for keeper in keepers:
        if (controller_of(keeper) or {}).get("uid") != owner["metadata"]["uid"]:
            continue
        if "revision" in keeper:
            template = {k: v for k, v in dig(keeper, "data", "spec", "template").items() if k != "$patch"}
            found[int(keeper["revision"])] = Revision(keeper, template)
        else:
            found[int(annotations_of(keeper).get(REVISION) or 0)] = Revision(keeper, keeper["spec"]["template"])
    return found
