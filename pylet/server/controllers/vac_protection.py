"""A VolumeAttributesClass stays until no volume and no claim names it, by a finalizer.

Source: pkg/controller/volume/vacprotection.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.volumeattributesclass import KIND as CLASS
from pylet.api.object import Key, Object, dig, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.finalizers import with_finalizer, without_finalizer
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch, itself

FINALIZER = "kubernetes.io/vac-protection"
_MARK = b"olumeAttributesClassName"  # what does not hold this need not be decoded


def plan(key: Key, view: View, now: datetime) -> Plan:
    found = view.get(CLASS, key)
    if found is None:
        return NOTHING
    if not is_terminating(found):
        return Plan(with_finalizer(CLASS, found, FINALIZER))
    users = (*view.table(VOLUME).entries.values(), *view.table(CLAIM).entries.values())
    is_used = any(key in _classes(entry, view) for entry in users)
    return NOTHING if is_used else Plan(without_finalizer(CLASS, found, FINALIZER))


def _classes(entry: Entry, view: View) -> Iterable[Key]:
    if _MARK not in entry.raw:
        return []
    obj: Object = entry.object
    names = (
        dig(obj, "spec", "volumeAttributesClassName"),
        dig(obj, "status", "currentVolumeAttributesClassName"),
        dig(obj, "status", "modifyVolumeStatus", "targetVolumeAttributesClassName"),
    )
    return [Key("", name) for name in names if name]


CONTROLLER = Controller(
    "volumeattributesclass-protection", (Watch(CLASS, itself), Watch(VOLUME, _classes), Watch(CLAIM, _classes)), plan
)
