"""Taint eviction: a pod leaves a node whose NoExecute taints it does not tolerate, or no longer does.

Source: upstream `pkg/controller/tainteviction/taint_eviction.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pylet.api import timestamps
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, is_terminating
from pylet.api.taints import tolerates
from pylet.client.view import Entry, View
from pylet.server.reconcile.eviction import evict
from pylet.server.reconcile.plan import NOTHING, Controller, Emit, Plan, Watch, itself


def plan(key: Key, view: View, now: datetime) -> Plan:
    pod = view.get(POD, key)
    if pod is None or is_terminating(pod) or not pod["spec"].get("nodeName"):
        return NOTHING
    node = view.get(NODE, Key("", pod["spec"]["nodeName"]))
    taints = [taint for taint in dig(node or {}, "spec", "taints", default=()) if taint["effect"] == "NoExecute"]
    if not taints:
        return NOTHING
    left = _left(pod, taints, now)
    if left is None:
        return NOTHING
    if left > timedelta():
        return Plan(again_after=left)
    told = Emit(pod, "TaintManagerEviction", f"Marking for deletion Pod {key}")
    return evict(pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", told, now)


def _left(pod: Object, taints: list[Object], now: datetime) -> timedelta | None:
    """How long the pod may stay; None is for ever."""
    shortest: timedelta | None = None
    for taint in taints:
        matching = [one for one in pod["spec"].get("tolerations") or () if tolerates(one, taint)]
        if not matching:
            return timedelta()
        bounds = [one["tolerationSeconds"] for one in matching if one.get("tolerationSeconds") is not None]
        if bounds:
            added = timestamps.parse(taint["timeAdded"]) if taint.get("timeAdded") else now
            left = added + timedelta(seconds=max(0, min(bounds))) - now
            shortest = left if shortest is None else min(shortest, left)
    return shortest


def _of_node(entry: Entry, view: View) -> Iterable[Key]:
    if entry.object["spec"].get("taints"):
        yield from view.table(POD).with_field("spec.nodeName", entry.key.name)


CONTROLLER = Controller("taint-eviction", (Watch(POD, itself), Watch(NODE, _of_node)), plan)
