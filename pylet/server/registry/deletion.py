"""What a delete request does to one object, decided without doing it.

Source: apiserver pkg/registry/rest/delete.go (BeforeDelete) and generic/registry/store.go (Delete,
updateForGracefulDeletionAndFinalizers, deletionFinalizersForGarbageCollection).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from pylet.api.errors import Conflict
from pylet.api.kind import Kind
from pylet.api.kinds.customresourcedefinition import CLEANUP
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.object import Object
from pylet.api.timestamps import format_time, parse
from pylet.server.registry import customs
from pylet.server.registry.request import DeleteOptions

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class Mark:
    """Write `obj`, which says that it is being deleted; somebody's finalizer or the kubelet ends it."""

    obj: Object


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the object now; `marked` is how watchers see it before, where it could have had a grace period."""

    marked: Object | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """It is being deleted already and this request changes nothing."""


Outcome: TypeAlias = Mark | Remove | Pending


def decide(kind: Kind, obj: Object, options: DeleteOptions, revision: int, now: datetime) -> Outcome:
    """`obj` is a private copy and is changed for Mark. Raises: Conflict, Invalid."""
    meta = obj["metadata"]
    before = dict(meta)
    _check(kind, meta, options, revision)
    if kind.name == "Namespace":
        return _decide_namespace(obj, options, now)
    if kind is DEFINITION and "deletionTimestamp" not in meta:
        return _begin_definition(obj, now)
    if kind.name == "Event":  # nobody's dependents: the garbage collector leaves them alone
        options = replace(options, propagation="")
    waits = _grace(kind, obj, options, now)
    if isinstance(waits, Pending):
        return waits
    if (
        not options.propagation
        and customs.orphans(kind)
        and not {ORPHAN, FOREGROUND} & set(meta.get("finalizers") or ())
    ):
        options = replace(options, propagation="Orphan")
    finalizers = _finalizers(meta, options)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    if waits:
        return Mark(obj)
    if finalizers:
        _mark(meta, now)
        return Mark(obj) if meta != before else Pending()
    is_marked = meta.get("deletionGracePeriodSeconds") != before.get("deletionGracePeriodSeconds")
    return Remove(obj if is_marked else None)


def is_finished(kind: Kind, obj: Object, old: Object) -> bool:
    """Whether this update emptied the finalizers of an object whose deletion nothing else delays."""
    before = old["metadata"]
    return (
        not obj["metadata"].get("finalizers")
        and "deletionTimestamp" in before
        and not before.get("deletionGracePeriodSeconds")
        and not (kind.name == "Namespace" and obj["spec"].get("finalizers"))
    )


def _decide_namespace(obj: Object, options: DeleteOptions, now: datetime) -> Outcome:
    """A namespace goes through its phase Terminating; its controller empties it and then `spec.finalizers`.

    Source: pkg/registry/core/namespace/storage/storage.go, Delete.
    """
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta:
        meta["deletionTimestamp"] = format_time(now)
        obj.setdefault("status", {})["phase"] = "Terminating"
        if finalizers := _finalizers(meta, options):
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)
        return Mark(obj)
    if (obj.get("spec") or {}).get("finalizers") or meta.get("finalizers"):
        return Pending()
    return Remove()


def _begin_definition(obj: Object, now: datetime) -> Outcome:
    """What a CustomResourceDefinition defined goes first; its controller sees to it.

    Source: apiextensions-apiserver pkg/registry/customresourcedefinition/etcd.go, Delete.
    """
    meta = obj["metadata"]
    meta["deletionTimestamp"] = format_time(now)
    if CLEANUP not in (meta.get("finalizers") or ()):
        meta["finalizers"] = [*(meta.get("finalizers") or ()), CLEANUP]
    conditions = obj["status"]["conditions"] = list(obj["status"].get("conditions") or ())
    conditions.append(
        {
            "type": "Terminating",
            "status": "True",
            "lastTransitionTime": format_time(now),
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }
    )
    return Mark(obj)


_MARKED = ("CustomResourceDefinition", "Namespace")


def _check(kind: Kind, meta: Object, options: DeleteOptions, revision: int) -> None:
    if kind.name in _MARKED:
        _check_stored(kind, meta, options, revision)
    if options.uid is not None and options.uid != meta.get("uid"):
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta.get('uid', '')}). "
            "The object might have been deleted and then recreated"
        )
        raise Conflict(kind.group, kind.name, meta["name"], why)
    if options.revision is not None and options.revision != str(revision):
        why = (
            f"the ResourceVersion in the precondition ({options.revision}) does not match the ResourceVersion in "
            f"record ({revision}). The object might have been modified"
        )
        raise Conflict(kind.group, kind.name, meta["name"], why)


def _check_stored(kind: Kind, meta: Object, options: DeleteOptions, revision: int) -> None:
    """What is marked before it is deleted is updated, and words it so. Source: apiserver pkg/storage, Preconditions."""
    for field, asked, found in (
        ("UID", options.uid, meta.get("uid", "")),
        ("ResourceVersion", options.revision, str(revision)),
    ):
        if asked is not None and asked != found:
            why = f"Precondition failed: {field} in precondition: {asked}, {field} in object meta: {found}"
            raise Conflict(kind.group, kind.plural, meta["name"], why)


def _grace(kind: Kind, obj: Object, options: DeleteOptions, now: datetime) -> bool | Pending:
    """Whether the object now waits for its grace period's end; sets its deletion fields if it does."""
    meta = obj["metadata"]
    asked = options.grace_seconds
    if asked is not None and asked < 0:
        asked = 1
    grace = kind.strategy.delete_grace_seconds(obj, asked)
    if "deletionTimestamp" not in meta:
        if grace is None:
            return False
        _begin(meta, now + timedelta(seconds=grace), grace)
        return grace > 0
    left = meta.get("deletionGracePeriodSeconds") or 0
    if grace is None or not left:
        return False
    if asked is None or asked >= left:
        return Pending()
    began = parse(meta["deletionTimestamp"]) - timedelta(seconds=left)
    ends = began + timedelta(seconds=asked)
    if ends < now:
        # Upstream: what is left of the period never lies in the past, and stays a period unless 0 was asked for.
        ends, asked = now, min(asked, 1)
    meta["deletionTimestamp"] = format_time(ends)
    meta["deletionGracePeriodSeconds"] = asked
    return asked > 0


def _begin(meta: Object, ends: datetime, grace_seconds: int) -> None:
    meta["deletionTimestamp"] = format_time(ends)
    meta["deletionGracePeriodSeconds"] = grace_seconds
    if meta.get("generation"):
        meta["generation"] += 1


def _mark(meta: Object, now: datetime) -> None:
    if "deletionTimestamp" not in meta:
        _begin(meta, now, 0)
    elif parse(meta["deletionTimestamp"]) > now:
        meta["deletionTimestamp"] = format_time(now)
    meta["deletionGracePeriodSeconds"] = 0


def _finalizers(meta: Object, options: DeleteOptions) -> list[str]:
    """The finalizers with the garbage collector's two as the policy wants them; no policy leaves them as they are."""
    had: list[str] = meta.get("finalizers") or []
    wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(options.propagation)
    if not options.propagation:
        return had
    kept = [name for name in had if name not in (ORPHAN, FOREGROUND)]
    return [*kept, wanted] if wanted else kept
