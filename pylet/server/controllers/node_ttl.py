"""How long a node's kubelet may keep what it read of Secrets and ConfigMaps: the longer, the larger the cluster.

Source: upstream `pkg/controller/ttl/ttl_controller.go`.
"""

from __future__ import annotations

from datetime import datetime

from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, annotations_of
from pylet.client.view import View
from pylet.server.reconcile.plan import NOTHING, Controller, Patch, Plan, Watch, itself

_ANNOTATION = "node.alpha.kubernetes.io/ttl"
_STEPS = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 1 << 31, 300))
"""From so many nodes, to so many, this many seconds: they overlap, so that a node more or less changes nothing."""


def controller() -> Controller:
    step = 0

    def plan(key: Key, view: View, now: datetime) -> Plan:
        nonlocal step
        node = view.get(NODE, key)
        if node is None:
            return NOTHING
        count = len(view.table(NODE).entries)
        while count > _STEPS[step][1]:
            step += 1
        while count < _STEPS[step][0]:
            step -= 1
        wanted = str(_STEPS[step][2])
        if annotations_of(node).get(_ANNOTATION) == wanted:
            return NOTHING
        return Plan((Patch(NODE, key, {"metadata": {"annotations": {_ANNOTATION: wanted}}}),))

    return Controller("ttl", (Watch(NODE, itself),), plan)


CONTROLLER = controller()
