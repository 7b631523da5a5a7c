"""How a controller makes a pod leave: it says why in the pod's conditions, then deletes it. Pure."""

from __future__ import annotations

from datetime import datetime

from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, conditions_of, key_of, uid_of
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import Delete, Emit, Patch, Plan


def evict(pod: Object, reason: str, message: str, told: Emit, now: datetime) -> Plan:
    """`reason` and `message` are those of the condition DisruptionTarget."""
    key, uid = key_of(pod), uid_of(pod)
    status = {"conditions": disrupted(pod, reason, message, now)}
    marked = Patch(POD, key, {"metadata": {"uid": uid}, "status": status}, "status")
    return Plan((marked, Delete(POD, key, uid, told=told)))


def disrupted(pod: Object, reason: str, message: str, now: datetime) -> list[Object]:
    """The pod's conditions, with one that says why it goes."""
    condition: Object = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    condition["observedGeneration"] = pod["metadata"].get("generation", 0)
    return with_condition(conditions_of(pod), condition, now)
