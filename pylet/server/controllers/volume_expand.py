"""A bound claim that asks for more than it has is its driver's to grow: this only says so.

No volume type grows without its own resizer here, as upstream since its in-tree drivers left.
Source: upstream `pkg/controller/volume/expand/expand_controller.go`.
"""

from __future__ import annotations

from datetime import datetime

from pylet.api import quantity
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.object import Key, dig, uid_of
from pylet.api.volumebinding import requested
from pylet.client.view import View
from pylet.server.reconcile.plan import NOTHING, Controller, Emit, Plan, Watch, itself

_SAYS = "waiting for an external controller to expand this PVC"


def plan(key: Key, view: View, now: datetime) -> Plan:
    claim = view.get(CLAIM, key)
    if claim is None or dig(claim, "status", "phase") != "Bound":
        return NOTHING
    volume = view.get(VOLUME, Key("", claim["spec"].get("volumeName", "")))
    if volume is None or dig(volume, "spec", "claimRef", "uid") != uid_of(claim):
        return NOTHING
    has = quantity.parse(dig(claim, "status", "capacity", "storage", default="0")).nanos
    return Plan((Emit(claim, "ExternalExpanding", _SAYS),)) if requested(claim) > has else NOTHING


CONTROLLER = Controller("volume-expand", (Watch(CLAIM, itself),), plan, speaker="volume_expand")
