"""Which pods a workload controls: ownership follows the selector. Pure.

A pod a controller owns and no longer selects is released; one nobody controls that it selects is adopted.
Source: upstream `pkg/controller/controller_ref_manager.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from pylet.api import selector
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, controller_of, is_terminating, key_of, owners_of, uid_of
from pylet.api.podtemplate import is_active, owner_reference
from pylet.client.view import Entry, View
from pylet.server.reconcile.members import member
from pylet.server.reconcile.plan import Action, Patch

Matches: TypeAlias = Callable[[Mapping[str, str]], bool]
SelectorOf: TypeAlias = Callable[[Object], Matches]
"""The compiled selector of a workload."""


def by_label_selector(workload: Object) -> Matches:
    """The selector of everything but a ReplicationController."""
    return selector.from_object(workload["spec"]["selector"])


def claim(
    workload: Object,
    kind: Kind,
    view: View,
    selector_of: SelectorOf = by_label_selector,
    *,
    may_adopt: Callable[[Key], bool] = lambda pod: True,
    finalizer: str = "",
) -> tuple[list[Entry], tuple[Action, ...]]:
    """The workload's pods, and the writes that make ownership follow its selector: first these, then the rest.

    `finalizer` comes with being adopted and goes with being released.
    """
    uid, namespace = uid_of(workload), workload["metadata"]["namespace"]
    matches = selector_of(workload)
    owned, claims = [], []
    for entry in view.table(POD).owned_by(uid).values():
        known = member(entry)
        if known.controller != uid:
            continue
        if (matches(entry.labels) and may_adopt(entry.key)) or known.is_terminating:
            owned.append(entry)
        else:
            pod = entry.object
            kept = [name for name in _finalizers_of(pod) if name != finalizer]
            claims.append(_own(pod, [owner for owner in owners_of(pod) if owner["uid"] != uid], kept))
    if not is_terminating(workload):
        for entry in view.table(POD).in_namespace(namespace).values():
            if uid not in entry.owner_uids and matches(entry.labels):
                pod = entry.object
                if controller_of(pod) is None and is_active(pod) and may_adopt(entry.key):
                    held = _finalizers_of(pod)
                    held += [finalizer] if finalizer and finalizer not in held else []
                    claims.append(_own(pod, [*owners_of(pod), owner_reference(workload, kind)], held))
    return owned, tuple(claims)


def _own(pod: Object, owners: Sequence[Object], finalizers: Sequence[str]) -> Action:
    meta: Object = {"uid": uid_of(pod), "ownerReferences": list(owners)}
    if finalizers != _finalizers_of(pod):
        meta |= {"resourceVersion": pod["metadata"]["resourceVersion"], "finalizers": list(finalizers)}
    return Patch(POD, key_of(pod), {"metadata": meta})


def _finalizers_of(pod: Object) -> list[str]:
    return list(pod["metadata"].get("finalizers") or ())


def of_pod(kind: Kind, selector_of: SelectorOf = by_label_selector) -> Callable[[Entry, View], Iterable[Key]]:
    """A pod concerns the workload of `kind` that controls it; one nobody controls, all that would select it."""

    def keys(entry: Entry, view: View) -> Iterable[Key]:
        owner = controller_of(entry.object) if entry.owner_uids else None
        if owner is not None:
            if owner["kind"] == kind.name:
                yield Key(entry.key.namespace, owner["name"])
            return
        for candidate in view.table(kind).in_namespace(entry.key.namespace).values():
            if selector_of(candidate.object)(entry.labels):
                yield candidate.key

    return keys
