"""What a workload controls: ownership follows the selector. Pure.

What a controller owns and no longer selects is released; what it selects and nobody controls is adopted. Who else owns
it stays its owner.
Source: upstream `pkg/controller/controller_ref_manager.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from pylet.api import selector
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, controller_of, is_terminating, key_of, owners_of, uid_of
from pylet.api.podtemplate import owner_reference
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
    matches, may_write = selector_of(workload), not is_terminating(workload)
    owned, claims = [], []
    for entry in view.table(POD).owned_by(uid).values():
        known = member(entry)
        if known.controller != uid:
            continue
        if (matches(entry.labels) and may_adopt(entry.key)) or known.is_terminating:
            owned.append(entry)
        elif may_write:
            pod = entry.object
            kept = [name for name in _finalizers_of(pod) if name != finalizer]
            claims.append(_own(POD, pod, _others(pod, uid), kept))
    if may_write:
        for entry in view.table(POD).in_namespace(namespace).values():
            if matches(entry.labels):
                known = member(entry)
                if not known.controller and known.is_active and may_adopt(entry.key):
                    pod = entry.object
                    held = _finalizers_of(pod)
                    held += [finalizer] if finalizer and finalizer not in held else []
                    claims.append(_own(POD, pod, [*_others(pod, uid), owner_reference(workload, kind)], held))
    return owned, tuple(claims)


def claim_parts(workload: Object, kind: Kind, part: Kind, view: View) -> tuple[list[Object], tuple[Action, ...]]:
    """As `claim`, of the workload's parts that are no pods."""
    uid, matches, may_write = uid_of(workload), by_label_selector(workload), not is_terminating(workload)
    owned, claims = [], []
    for entry in view.table(part).in_namespace(workload["metadata"]["namespace"]).values():
        is_selected = matches(entry.labels)
        if not is_selected and uid not in entry.owner_uids:
            continue
        obj, finalizers = entry.object, _finalizers_of(entry.object)
        controller = controller_of(obj)
        if controller is not None and controller["uid"] == uid:
            if is_selected:
                owned.append(obj)
            elif may_write:
                claims.append(_own(part, obj, _others(obj, uid), finalizers))
        elif controller is None and is_selected and may_write and not is_terminating(obj):
            claims.append(_own(part, obj, [*_others(obj, uid), owner_reference(workload, kind)], finalizers))
    return owned, tuple(claims)


def _others(obj: Object, uid: str) -> list[Object]:
    return [owner for owner in owners_of(obj) if owner["uid"] != uid]


def _own(kind: Kind, obj: Object, owners: Sequence[Object], finalizers: Sequence[str]) -> Action:
    """Of the very version that was looked at: whoever came to own it since stays its owner."""
    version = obj["metadata"]["resourceVersion"]
    meta = {"resourceVersion": version, "ownerReferences": list(owners), "finalizers": list(finalizers)}
    return Patch(kind, key_of(obj), {"metadata": meta})


def _finalizers_of(obj: Object) -> list[str]:
    return list(obj["metadata"].get("finalizers") or ())


def of_part(kind: Kind, selector_of: SelectorOf = by_label_selector) -> Callable[[Entry, View], Iterable[Key]]:
    """A part concerns the workload of `kind` that controls it; one nobody controls, all that would select it."""

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
