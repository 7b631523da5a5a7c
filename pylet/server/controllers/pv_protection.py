"""A bound volume stays until it is no longer bound, by a finalizer.

Source: upstream `pkg/controller/volume/pvprotection/pv_protection_controller.go`.
"""

from __future__ import annotations

from datetime import datetime

from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.object import Key, dig, is_terminating
from pylet.client.view import View
from pylet.server.reconcile.finalizers import with_finalizer, without_finalizer
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch, itself

FINALIZER = "kubernetes.io/pv-protection"


def plan(key: Key, view: View, now: datetime) -> Plan:
    volume = view.get(VOLUME, key)
    if volume is None:
        return NOTHING
    if not is_terminating(volume):
        return Plan(with_finalizer(VOLUME, volume, FINALIZER))
    is_bound = dig(volume, "status", "phase") == "Bound"
    return NOTHING if is_bound else Plan(without_finalizer(VOLUME, volume, FINALIZER))


CONTROLLER = Controller("persistentvolume-protection", (Watch(VOLUME, itself),), plan)
