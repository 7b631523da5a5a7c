"""Taint eviction: a pod leaves a node whose NoExecute taints it does not tolerate, or no longer does.

When that will be is settled once: further taints and other tolerations move it only if the pod then has to leave at
once, or may stay for ever.
Source: upstream `pkg/controller/tainteviction/taint_eviction.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pylet.api import timestamps
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, dig, is_terminating, uid_of
from pylet.api.taints import tolerates
from pylet.client.view import Entry, View
from pylet.server.reconcile.eviction import Evictions, evict
from pylet.server.reconcile.plan import NOTHING, Controller, Emit, Plan, Watch, itself

_EVICTIONS = Evictions("taint_eviction_controller")
_REASON = "TaintManagerEviction"
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


def controller() -> Controller:
    settled: dict[Key, tuple[str, datetime]] = {}  # the uids of pods that wait, and when they have to leave

    def plan(key: Key, view: View, now: datetime) -> Plan:
        pod = view.get(POD, key)
        uid, before = settled.pop(key, ("", now))
        if pod is None or is_terminating(pod) or not pod["spec"].get("nodeName"):
            return NOTHING
        due, waits = _due(pod, view, now), uid == uid_of(pod)
        if due is None:
            return Plan((Emit(pod, _REASON, f"Cancelling deletion of Pod {key}"),)) if waits else NOTHING
        due = before if waits and due > _AT_ONCE else due
        if due > now:
            settled[key] = uid_of(pod), due
            return Plan(again_after=due - now)
        told = Emit(pod, _REASON, f"Marking for deletion Pod {key}")
        late = now - due if due > _AT_ONCE else timedelta()
        return evict(
            pod,
            "DeletionByTaintManager",
            "Taint manager: deleting due to NoExecute taint",
            told,
            now,
            _EVICTIONS.one(late),
        )

    return Controller(
        "taint-eviction", (Watch(POD, itself, _standing), Watch(NODE, _of_node)), plan, metrics=_EVICTIONS.lines
    )


def _standing(pod: Object) -> object:
    """What of a pod says whether it may stay: not its status, but when it came."""
    spec, meta = pod["spec"], pod["metadata"]
    return spec.get("nodeName"), spec.get("tolerations"), meta.get("deletionTimestamp"), _came(pod)


def _due(pod: Object, view: View, now: datetime) -> datetime | None:
    """When the pod has to leave; None is never."""
    node = view.get(NODE, Key("", pod["spec"]["nodeName"]))
    dues = []
    for taint in dig(node or {}, "spec", "taints", default=()):
        if taint["effect"] != "NoExecute":
            continue
        matching = [one for one in pod["spec"].get("tolerations") or () if tolerates(one, taint)]
        if not matching:
            return _AT_ONCE
        bounds = [one["tolerationSeconds"] for one in matching if one.get("tolerationSeconds") is not None]
        if bounds:
            since = max((timestamps.parse(time) for time in (taint.get("timeAdded"), _came(pod)) if time), default=now)
            dues.append(since + timedelta(seconds=max(0, min(bounds))))
    return min(dues, default=None)


def _came(pod: Object) -> str:
    return str((condition_of(pod, "PodScheduled") or {}).get("lastTransitionTime") or "")


def _of_node(entry: Entry, view: View) -> Iterable[Key]:
    if entry.object["spec"].get("taints"):
        yield from view.table(POD).with_field("spec.nodeName", entry.key.name)


CONTROLLER = controller()
