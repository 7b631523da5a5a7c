"""Generic ephemeral volumes: each has a claim of its own, made for the pod and gone with it.

Source: upstream `pkg/controller/volume/ephemeral/controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from pylet.aio.prometheus import Counter
from pylet.api.errors import ApiError
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, controller_of, is_terminating, uid_of
from pylet.api.podtemplate import owner_reference
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Count, Create, Emit, Plan, Watch, told_of

_CREATES = Counter("ephemeral_volume_controller_create_total", "Claims asked for.")
_FAILURES = Counter("ephemeral_volume_controller_create_failures_total", "Claims that were refused.")


def plan(key: Key, view: View, now: datetime) -> Plan:
    pod = view.get(POD, key)
    if pod is None or is_terminating(pod):
        return NOTHING
    actions: list[Action] = []
    for volume in pod["spec"].get("volumes") or ():
        if "ephemeral" not in volume:
            continue
        name = f"{key.name}-{volume['name']}"
        found = view.get(CLAIM, Key(key.namespace, name))
        if found is None:
            claim = _claim(pod, name, volume["ephemeral"]["volumeClaimTemplate"])
            actions += (Create(CLAIM, claim, refused=partial(_refused, pod, volume["name"], name)), Count(_CREATES))
        elif (owner := controller_of(found)) is None or owner["uid"] != uid_of(pod):
            why = f'PVC "{key.namespace}/{name}" was not created for pod "{key}" (pod is not owner)'
            return Plan((*actions, _failed(pod, volume["name"], why)))
    return Plan(tuple(actions))


def _claim(pod: Object, name: str, template: Object) -> Object:
    wanted = template.get("metadata") or {}
    meta = {
        "name": name,
        "namespace": pod["metadata"]["namespace"],
        "ownerReferences": [owner_reference(pod, POD)],
        **{field: wanted[field] for field in ("labels", "annotations") if wanted.get(field)},
    }
    return {"apiVersion": "v1", "kind": CLAIM.name, "metadata": meta, "spec": template["spec"]}


def _refused(pod: Object, volume: str, name: str, error: ApiError) -> tuple[Action, ...]:
    return (_failed(pod, volume, f"create PVC {name}: {error.message}"), Count(_CREATES), Count(_FAILURES))


def _failed(pod: Object, volume: str, why: str) -> Emit:
    return Emit(pod, "FailedBinding", f"ephemeral volume {volume}: {why}", "Warning")


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    if b'"ephemeral"' in entry.raw:
        yield entry.key


def _of_claim(entry: Entry, view: View) -> Iterable[Key]:
    """One that goes is made anew while its pod lives."""
    if entry.key not in view.table(CLAIM).entries:
        for uid in entry.owner_uids:
            owner = controller_of(entry.object)
            if owner is not None and owner["uid"] == uid and owner["kind"] == POD.name:
                yield Key(entry.key.namespace, owner["name"])


CONTROLLER = Controller(
    "ephemeral-volume",
    (Watch(POD, _of_pod), Watch(CLAIM, _of_claim)),
    plan,
    speaker="ephemeral_volume",
    metrics=told_of(_CREATES, _FAILURES),
)
