"""Deployment: replace one ReplicaSet by the next without falling below or rising above what it allows.

Source: upstream `pkg/controller/deployment` (sync.go, rolling.go, recreate.go, progress.go, util/deployment_util.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from pylet.api.errors import ApiError
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import (
    Key,
    Object,
    annotations_of,
    controller_of,
    dig,
    is_terminating,
    key_of,
    labels_of,
    seniority,
    uid_of,
)
from pylet.api.podtemplate import is_finished, owner_reference, template_hash
from pylet.client.view import Entry, View
from pylet.server.controllers.deployment.progress import condition, has_deadline, with_conditions, with_status
from pylet.server.controllers.deployment.rollout import (
    DESIRED,
    MOST,
    Rollout,
    count_of,
    must_wait,
    recreate,
    replicas_of,
    resizes,
    roll,
    scale_in_proportion,
    size_annotations,
    surged,
    was_scaled,
)
from pylet.server.reconcile.ownership import claim_parts, of_part
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
)

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_HISTORY, _HISTORY_CHARS = "deployment.kubernetes.io/revision-history", 2000
_NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    _HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
)


def plan(key: Key, view: View, now: datetime) -> Plan:
    deployment = view.get(DEPLOYMENT, key)
    if deployment is None:
        return NOTHING
    owned, claims = claim_parts(deployment, DEPLOYMENT, REPLICA_SET, view)
    if claims:
        return Plan(claims)
    rollout = _rollout(deployment, owned)
    if is_terminating(deployment):
        return with_status(rollout, (), now)
    paused = bool(deployment["spec"].get("paused"))
    if rollout.new is None and not paused and not must_wait(rollout, view):
        return Plan(_create_new(rollout, view, now))
    revision = _number_new(rollout)
    if paused or was_scaled(rollout):
        scale_in_proportion(rollout)
    elif deployment["spec"]["strategy"].get("type") == "Recreate":
        recreate(rollout, view)
    else:
        roll(rollout)
    changes = (*revision, *resizes(rollout))
    if not changes and (paused or rollout.is_complete):
        changes = _forget_old(rollout)
    return with_status(rollout, changes, now)


# ---- who belongs to it


def _rollout(deployment: Object, replica_sets: Iterable[Object]) -> Rollout:
    owned = sorted(replica_sets, key=seniority)
    template = _comparable(deployment["spec"]["template"])
    new = next((candidate for candidate in owned if _comparable(candidate["spec"]["template"]) == template), None)
    return Rollout(deployment, new, [replica_set for replica_set in owned if replica_set is not new])


def _comparable(template: Object) -> Object:
    """A template without the label that tells ReplicaSets apart."""
    meta = template.get("metadata") or {}
    labels = {name: value for name, value in (meta.get("labels") or {}).items() if name != HASH_LABEL}
    return {"metadata": {**meta, "labels": labels, "creationTimestamp": None}, "spec": template["spec"]}


# ---- the new ReplicaSet


def _create_new(rollout: Rollout, view: View, now: datetime) -> tuple[Action, ...]:
    deployment = rollout.deployment
    meta = deployment["metadata"]
    collisions = count_of(deployment, "collisionCount")
    template = deployment["spec"]["template"]
    suffix = template_hash(template, collisions)
    name = f"{meta['name']}-{suffix}"
    if view.get(REPLICA_SET, Key(meta["namespace"], name)) is not None:
        # The name is taken by somebody else's: upstream counts the collision and hashes again.
        return (Patch(DEPLOYMENT, key_of(deployment), {"status": {"collisionCount": collisions + 1}}, "status"),)
    labels = {**(dig(template, "metadata", "labels", default={})), HASH_LABEL: suffix}
    size = surged(rollout, 0)
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
                **size_annotations(rollout),
            },
            "ownerReferences": [owner_reference(deployment, DEPLOYMENT)],
        },
        "spec": spec,
    }
    told = Emit(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}") if size else None
    created = condition("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
    noted = with_conditions(deployment, [created], now) if has_deadline(deployment) else ()
    return Create(REPLICA_SET, replica_set, told, partial(_refused, rollout, name, now)), *noted


def _refused(rollout: Rollout, name: str, now: datetime, error: ApiError) -> tuple[Action, ...]:
    deployment, words = rollout.deployment, f'Failed to create new replica set "{name}": {error.message}'
    told = Emit(deployment, "ReplicaSetCreateError", words, "Warning")
    if not has_deadline(deployment):
        return (told,)
    return told, *with_conditions(deployment, [condition("Progressing", "False", "ReplicaSetCreateError", words)], now)


def _number_new(rollout: Rollout) -> tuple[Action, ...]:
    """Give the new ReplicaSet the highest revision (a rollback reuses an old one), and the deployment the same."""
    new, deployment = rollout.new, rollout.deployment
    if new is None:
        return ()
    actions: list[Action] = []
    before, revision = annotations_of(new).get(REVISION, ""), str(max(_revision(new), _highest(rollout.old) + 1))
    wanted = {**_copied(deployment), REVISION: revision}
    if before not in ("", revision):
        wanted[_HISTORY] = _with_revision(annotations_of(new).get(_HISTORY, ""), before)
    patience = deployment["spec"].get("minReadySeconds", 0)
    is_impatient = new["spec"].get("minReadySeconds", 0) != patience
    if is_impatient or any(annotations_of(new).get(name) != value for name, value in wanted.items()):
        change: Object = {"metadata": {"annotations": wanted}}
        if is_impatient:
            change["spec"] = {"minReadySeconds": patience}
        actions.append(Patch(REPLICA_SET, key_of(new), change))
    if annotations_of(deployment).get(REVISION) != revision:
        # By way of the status, as upstream: that takes annotations, too, and is no new generation.
        numbered = {"metadata": {"annotations": {REVISION: revision}}}
        actions.append(Patch(DEPLOYMENT, key_of(deployment), numbered, "status"))
    return tuple(actions)


def _with_revision(history: str, revision: str) -> str:
    """The revisions a ReplicaSet had before, the oldest left out when they are too many."""
    revisions = [*history.split(","), revision] if history else [revision]
    while len(",".join(revisions)) > _HISTORY_CHARS:
        del revisions[0]
    return ",".join(revisions)


def _copied(deployment: Object) -> dict[str, str]:
    return {name: value for name, value in annotations_of(deployment).items() if name not in _NOT_COPIED}


def _revision(replica_set: Object) -> int:
    text = annotations_of(replica_set).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def _highest(replica_sets: Iterable[Object]) -> int:
    return max(map(_revision, replica_sets), default=0)


def _forget_old(rollout: Rollout) -> tuple[Action, ...]:
    limit = rollout.deployment["spec"].get("revisionHistoryLimit", 10)
    alive = sorted((old for old in rollout.old if not is_terminating(old)), key=_revision)
    return tuple(
        Delete(REPLICA_SET, key_of(gone), uid_of(gone))
        for gone in alive[: max(0, len(alive) - limit)]
        if not replicas_of(gone)
        and not count_of(gone, "replicas")
        and gone["metadata"].get("generation", 0) <= count_of(gone, "observedGeneration")
    )


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
    (Watch(DEPLOYMENT, itself), Watch(REPLICA_SET, of_part(DEPLOYMENT)), Watch(POD, _of_pod)),
    plan,
)
