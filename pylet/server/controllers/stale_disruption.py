"""A pod that was said to be disrupted and still lives two minutes later is told not to be.

Source: upstream `pkg/controller/disruption/disruption.go` (syncStalePodDisruption).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pylet.api import timestamps
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, conditions_of, is_terminating, uid_of
from pylet.api.podtemplate import is_finished
from pylet.client.view import Entry, View
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import NOTHING, Controller, Patch, Plan, Watch

_TIMEOUT = timedelta(minutes=2)
_TYPE = "DisruptionTarget"


def plan(key: Key, view: View, now: datetime) -> Plan:
    pod = view.get(POD, key)
    condition = condition_of(pod, _TYPE) if pod is not None else None
    if pod is None or condition is None or not _may_be_stale(pod, condition):
        return NOTHING
    left = timestamps.parse(condition["lastTransitionTime"]) + _TIMEOUT - now
    if left > timedelta():
        return Plan(again_after=left)
    fresh: Object = {"type": _TYPE, "status": "False", "reason": None, "message": None}
    fresh["observedGeneration"] = pod["metadata"].get("generation", 0)
    conditions = [
        {name: value for name, value in each.items() if name == "lastProbeTime" or value is not None}
        for each in with_condition(conditions_of(pod), fresh, now)
    ]
    return Plan((Patch(POD, key, {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": conditions}}, "status"),))


def _may_be_stale(pod: Object, condition: Object) -> bool:
    """The kubelet takes the time it needs to end a pod."""
    said = condition.get("status") == "True" and condition.get("reason") != "TerminationByKubelet"
    return said and not is_terminating(pod) and not is_finished(pod)


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    if b'"DisruptionTarget"' in entry.raw:
        yield entry.key


CONTROLLER = Controller("stale-disruption", (Watch(POD, _of_pod),), plan)
