"""How a controller makes a pod leave: it says why in the pod's conditions, then deletes it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from pylet.aio.prometheus import Counter, Histogram
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, conditions_of, key_of, uid_of
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import Count, Delete, Emit, Patch, Plan, told_of

_SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240)


class Evictions:
    """What is counted of pods that had to go."""

    def __init__(self, controller: str) -> None:
        """`controller` is what the metrics' names begin with."""
        self._deletions = Counter(f"{controller}_pod_deletions_total", "Pods that had to go.")
        self._late = Histogram(f"{controller}_pod_deletion_duration_seconds", "From when they had to.", (), _SECONDS)
        self.lines = told_of(self._deletions, self._late)

    def one(self, late: timedelta) -> tuple[Count, Count]:
        return Count(self._deletions), Count(self._late, value=late.total_seconds())


def evict(pod: Object, reason: str, message: str, told: Emit, now: datetime, counts: tuple[Count, ...]) -> Plan:
    """`reason` and `message` are those of the condition DisruptionTarget."""
    key, uid = key_of(pod), uid_of(pod)
    status = {"conditions": disrupted(pod, reason, message, now)}
    marked = Patch(POD, key, {"metadata": {"uid": uid}, "status": status}, "status")
    return Plan((marked, Delete(POD, key, uid, told=told), *counts))


def disrupted(pod: Object, reason: str, message: str, now: datetime) -> list[Object]:
    """The pod's conditions, with one that says why it goes."""
    condition: Object = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    condition["observedGeneration"] = pod["metadata"].get("generation", 0)
    return with_condition(conditions_of(pod), condition, now)
