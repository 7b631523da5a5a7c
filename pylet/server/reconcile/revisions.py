"""The history of a workload: each template it had, as a numbered ControllerRevision. Pure.

A template that comes back takes its old revision with a new number, so a rollback makes no new one.
Source: upstream `pkg/controller/history`, `pkg/controller/daemon/update.go` (constructHistory).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pylet.api.kind import Kind
from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.object import Key, Object, annotations_of, is_terminating, key_of, labels_of, uid_of
from pylet.api.podtemplate import owner_reference, template_hash
from pylet.client.view import View
from pylet.server.reconcile.ownership import claim_parts
from pylet.server.reconcile.plan import Action, Create, Delete, Patch


@dataclass(frozen=True, slots=True)
class History:
    """`old` is in the order of the numbers. Without a `current`, the `missing` actions make it: do only these."""

    current: Object | None
    old: tuple[Object, ...]
    missing: tuple[Action, ...] = ()


def history(workload: Object, kind: Kind, view: View, hash_label: str) -> History:
    meta = workload["metadata"]
    found, claims = claim_parts(workload, kind, CONTROLLER_REVISION, view)
    if claims:
        return History(None, (), claims)
    data = _snapshot(workload)
    owned = sorted((revision for revision in found if not is_terminating(revision)), key=_number)
    same = [revision for revision in owned if revision["data"] == data]
    old = tuple(revision for revision in owned if revision["data"] != data)
    number = max(map(_number, old), default=0) + 1
    if same:
        current = same[-1]
        if _number(current) >= number:
            return History(current, old)
        renumbered = Patch(CONTROLLER_REVISION, key_of(current), {"revision": number})
        return History(None, old, (renumbered,))
    collisions = (workload.get("status") or {}).get("collisionCount", 0)
    suffix = template_hash(workload["spec"]["template"], collisions)
    key = Key(meta["namespace"], f"{meta['name']}-{suffix}")
    if view.get(CONTROLLER_REVISION, key) is not None:
        return History(
            None, old, (Patch(kind, key_of(workload), {"status": {"collisionCount": collisions + 1}}, "status"),)
        )
    revision: Object = {
        "apiVersion": CONTROLLER_REVISION.api_version,
        "kind": CONTROLLER_REVISION.name,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {**labels_of(workload["spec"]["template"]), hash_label: suffix},
            "annotations": annotations_of(workload),
            "ownerReferences": [owner_reference(workload, kind)],
        },
        "data": data,
        "revision": number,
    }
    return History(None, old, (Create(CONTROLLER_REVISION, revision),))


def forget(revisions: Iterable[Object]) -> tuple[Action, ...]:
    return tuple(Delete(CONTROLLER_REVISION, key_of(gone), uid_of(gone)) for gone in revisions)


def _snapshot(workload: Object) -> Any:
    """A strategic merge patch that brings this template back: what `kubectl rollout undo` sends.

    Clients tell the current revision by comparing bytes, as Go writes maps: the keys are in order.
    """
    return _ordered({"spec": {"template": {**workload["spec"]["template"], "$patch": "replace"}}})


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _number(revision: Object) -> int:
    return int(revision.get("revision", 0))
