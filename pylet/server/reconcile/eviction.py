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
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    status = {"conditions": with_condition(conditions_of(pod), condition, now)}
    marked = Patch(POD, key, {"metadata": {"uid": uid}, "status": status}, "status")
    return Plan((marked, Delete(POD, key, uid, told=told)))
