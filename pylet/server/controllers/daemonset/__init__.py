"""DaemonSet: one pod on every node it fits.

Source: upstream `pkg/controller/daemon` (daemon_controller.go, update.go).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from pylet.api.errors import ApiError
from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.daemonset import KIND as DAEMON_SET
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, is_terminating, key_of, labels_of, uid_of
from pylet.api.podtemplate import available_in, is_finished, is_ready
from pylet.client.view import Entry, View
from pylet.server.controllers.daemonset import rolling
from pylet.server.controllers.daemonset.nodes import HASH_LABEL, Place, is_updated, node_of, place, pod_for
from pylet.server.reconcile import revisions
from pylet.server.reconcile.backoff import Backoff
from pylet.server.reconcile.deletion import delete_pod
from pylet.server.reconcile.nodes import standing
from pylet.server.reconcile.ownership import claim, of_part
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Create,
    Emit,
    Plan,
    Watch,
    itself,
    patch_status,
    soonest,
)

_BURST = 250  # upstream's BurstReplicas
_FAILED = (timedelta(seconds=1), timedelta(minutes=15))  # before a failed pod is replaced: first, longest


class _Round:
    """One look at a DaemonSet: its nodes, its pods by node, and what shall happen."""

    def __init__(self, daemon_set: Object, pods: Sequence[Object], revision: str, view: View, now: datetime) -> None:
        self.daemon_set = daemon_set
        self.revision = revision
        self.now = now
        nodes = sorted(view.select(NODE), key=lambda node: str(node["metadata"]["name"]))
        self.places = {node["metadata"]["name"]: place(daemon_set, node) for node in nodes}
        self.pods: dict[str, list[Object]] = defaultdict(list)
        for pod in sorted(pods, key=_age):
            if not (is_finished(pod) and is_terminating(pod)) and (name := node_of(pod)):
                self.pods[name].append(pod)
        self.create: list[str] = []
        self.delete: list[Object] = []
        self.told: list[Action] = []
        self.again_after: timedelta | None = None

    @property
    def wanted(self) -> list[str]:
        return [name for name, what in self.places.items() if what is Place.RUN]

    def is_available(self, pod: Object) -> bool:
        return available_in(pod, self.daemon_set["spec"].get("minReadySeconds", 0), self.now) == timedelta()

    def is_updated(self, pod: Object) -> bool:
        return is_updated(pod, self.daemon_set, self.revision)


def _plan(backoff: Backoff, key: Key, view: View, now: datetime) -> Plan:
    daemon_set = view.get(DAEMON_SET, key)
    if daemon_set is None or is_terminating(daemon_set):
        return NOTHING
    if daemon_set["spec"]["selector"] == {}:
        words = "This daemon set is selecting all pods. A non-empty selector is required."
        return Plan((Emit(daemon_set, "SelectingAll", words, "Warning"),))
    known = revisions.history(daemon_set, DAEMON_SET, view, HASH_LABEL)
    if known.current is None:
        return Plan(known.missing)
    owned, claims = claim(daemon_set, DAEMON_SET, view)
    pods = [entry.object for entry in owned]
    if claims:
        return Plan(claims)
    look = _Round(daemon_set, pods, labels_of(known.current)[HASH_LABEL], view, now)
    _manage(look, backoff)
    if not look.create and not look.delete and daemon_set["spec"]["updateStrategy"].get("type") == "RollingUpdate":
        on_nodes = {name: look.pods.get(name, []) for name in {*look.pods, *look.wanted}}
        look.delete, look.create = rolling.step(
            daemon_set, dict(sorted(on_nodes.items())), set(look.wanted), look.is_updated, look.is_available
        )
    surplus = len(known.old) - daemon_set["spec"].get("revisionHistoryLimit", 10)
    live = {labels_of(pod).get(HASH_LABEL) for pod in pods}
    dead = [revision for revision in known.old if labels_of(revision).get(HASH_LABEL) not in live]
    status, again_after = _status(look)
    return Plan(
        (
            *look.told,
            *_deletions(look),
            *patch_status(DAEMON_SET, daemon_set, status),
            *_creations(look),
            *revisions.forget(dead[: max(0, surplus)]),
        ),
        soonest(again_after, look.again_after),
    )


def _manage(look: _Round, backoff: Backoff) -> None:
    """One pod on each node that should have one; two, an old and a new, while an update surges."""
    surges = rolling.surge_of(look.daemon_set, 1) > 0
    for name, what in look.places.items():
        pods = look.pods.get(name, [])
        if what is Place.LEAVE:
            look.delete += [pod for pod in pods if not is_terminating(pod)]
        elif not pods:
            if what is Place.RUN:
                look.create.append(name)
        else:
            running = [pod for pod in pods if not is_terminating(pod) and not _is_replaced(look, pod, name, backoff)]
            if surges:
                look.delete += _surplus(look, running)
                if not running and what is Place.RUN:
                    look.create.append(name)
            else:
                look.delete += running[1:]
    for name, pods in look.pods.items():
        if name not in look.places:  # made for a node that went: nobody else would ever end these
            look.delete += [pod for pod in pods if not is_terminating(pod) and not dig(pod, "spec", "nodeName")]


def _is_replaced(look: _Round, pod: Object, node: str, backoff: Backoff) -> bool:
    """A pod that has ended makes room for another: a failed one after a while, so that nobody fights with a kubelet."""
    if not is_finished(pod):
        return False
    meta, phase = pod["metadata"], pod["status"]["phase"].lower()
    about = f"Found {phase} daemon pod {meta['namespace']}/{meta['name']} on node {node}, will try to"
    if phase == "succeeded":
        look.told.append(Emit(look.daemon_set, "SucceededDaemonPod", f"{about} delete it"))
        look.delete.append(pod)
        return True
    if wait := backoff.wait((uid_of(look.daemon_set), node), look.now):
        look.again_after = soonest(look.again_after, wait)
        return True
    backoff.next((uid_of(look.daemon_set), node), look.now)
    look.told.append(Emit(look.daemon_set, "FailedDaemonPod", f"{about} kill it", "Warning"))
    look.delete.append(pod)
    return True


def _surplus(look: _Round, running: Sequence[Object]) -> list[Object]:
    """All but the oldest of each sort; and the old one, once it is not ready or its successor is available."""
    new = [pod for pod in running if labels_of(pod).get(HASH_LABEL) == look.revision]
    old = [pod for pod in running if labels_of(pod).get(HASH_LABEL) != look.revision]
    gone = new[1:] + old[1:]
    if new and old and (not is_ready(old[0]) or look.is_available(new[0])):
        gone.append(old[0])
    return gone


def _creations(look: _Round) -> tuple[Action, ...]:
    told = Emit(look.daemon_set, "SuccessfulCreate", "Created pod: {name}")
    return tuple(
        Create(POD, pod_for(look.daemon_set, node, look.revision), told, partial(_refused, look.daemon_set))
        for node in look.create[:_BURST]
    )


def _refused(daemon_set: Object, error: ApiError) -> tuple[Action, ...]:
    return (Emit(daemon_set, "FailedCreate", f"Error creating: {error.message}", "Warning"),)


def _deletions(look: _Round) -> tuple[Action, ...]:
    return tuple(delete_pod(key_of(pod), uid_of(pod), look.daemon_set) for pod in look.delete[:_BURST])


def _status(look: _Round) -> tuple[Object, timedelta | None]:
    """The oldest pod of each node counts."""
    spec, wanted = look.daemon_set["spec"], look.wanted
    first = [look.pods[name][0] for name in wanted if look.pods.get(name)]
    waits = [available_in(pod, spec.get("minReadySeconds", 0), look.now) for pod in first]
    available = sum(wait == timedelta() for wait in waits)
    status: Object = {
        "desiredNumberScheduled": len(wanted),
        "currentNumberScheduled": len(first),
        "numberMisscheduled": sum(
            what is not Place.RUN and bool(look.pods.get(name)) for name, what in look.places.items()
        ),
        "numberReady": sum(map(is_ready, first)),
        "updatedNumberScheduled": sum(map(look.is_updated, first)),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
        "observedGeneration": look.daemon_set["metadata"].get("generation", 0),
    }
    before = look.daemon_set.get("status") or {}
    status |= {name: before[name] for name in ("collisionCount", "conditions") if name in before}
    return status, soonest(*(wait for wait in waits if wait))


def _age(pod: Object) -> tuple[bool, str, str]:
    """Placed pods first, then the oldest."""
    meta = pod["metadata"]
    return not dig(pod, "spec", "nodeName"), meta.get("creationTimestamp", ""), meta["name"]


def _all(entry: Entry, view: View) -> Iterable[Key]:
    """Every DaemonSet looks at every node."""
    return list(view.table(DAEMON_SET).entries)


CONTROLLER = Controller(
    "daemonset",
    (
        Watch(DAEMON_SET, itself),
        Watch(POD, of_part(DAEMON_SET)),
        Watch(NODE, _all, standing),
        Watch(CONTROLLER_REVISION, of_part(DAEMON_SET)),
    ),
    partial(_plan, Backoff(*_FAILED)),
)
