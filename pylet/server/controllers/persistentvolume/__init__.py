"""The binder of volumes and claims: finds each claim a volume or has one made, and keeps both sides' words equal.

One controller for both kinds, so that nobody else writes between them: a key without a namespace is a volume's. A plan
is one write at a time; each wakes the next. In-tree plugins that cloud drivers replaced (CSI migration) are not known.
Source: upstream `pkg/controller/volume/persistentvolume/pv_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pylet.api import volumebinding
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.storageclass import KIND as STORAGE_CLASS
from pylet.api.object import Key, dig
from pylet.client.view import Entry, View
from pylet.server.controllers.persistentvolume import claims, counted, recycling, volumes
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch

_PENDING = b'"phase":"Pending"'


def plan(key: Key, view: View, now: datetime) -> Plan:
    if key.namespace:
        claim = view.get(CLAIM, key)
        return Plan(tuple(claims.steps(claim, view, now))) if claim is not None else NOTHING
    volume = view.get(VOLUME, key)
    if volume is None:
        return NOTHING
    return Plan(tuple(volumes.steps(volume, view, now)), recycling.again_after(volume, view, now))


def _of_claim(entry: Entry, view: View) -> Iterator[Key]:
    """A claim concerns its volume too, and what was reserved for it once it is gone."""
    yield entry.key
    if volume := entry.object["spec"].get("volumeName"):
        yield Key("", volume)
    if entry.key not in view.table(CLAIM).entries:
        quoted = f'"{entry.key.name}"'.encode()
        for other in view.table(VOLUME).entries.values():
            if quoted in other.raw and _claim_of(other) == entry.key:
                yield other.key


def _of_volume(entry: Entry, view: View) -> Iterator[Key]:
    """A volume concerns its claim too, and pending ones that ask for it or that it would suit."""
    yield entry.key
    if (claim := _claim_of(entry)) is not None:
        yield claim
        return
    for pending in _pending(view):
        asked = pending.object["spec"].get("volumeName")
        if asked == entry.key.name or (not asked and volumebinding.best_match(pending.object, [entry.object])):
            yield pending.key


def _of_class(entry: Entry, view: View) -> Iterator[Key]:
    for pending in _pending(view):
        if not volumebinding.has_class(pending.object) or volumebinding.class_of(pending.object) == entry.key.name:
            yield pending.key


def _of_pod(entry: Entry, view: View) -> Iterator[Key]:
    """A new pod shows in the events of the claims it makes wait; one that empties a volume tells of its end."""
    if entry.key.name.startswith(recycling.PREFIX):
        yield Key("", entry.key.name.removeprefix(recycling.PREFIX))
    if b'"persistentVolumeClaim"' not in entry.raw or dig(entry.object, "spec", "nodeName"):
        return
    for volume in entry.object["spec"].get("volumes") or ():
        key = Key(entry.key.namespace, dig(volume, "persistentVolumeClaim", "claimName", default=""))
        found = view.table(CLAIM).entries.get(key)
        if found is not None and _PENDING in found.raw:
            yield key


def _pending(view: View) -> Iterable[Entry]:
    return (entry for entry in view.table(CLAIM).entries.values() if _PENDING in entry.raw)


def _claim_of(entry: Entry) -> Key | None:
    reference = entry.object["spec"].get("claimRef")
    return Key(reference.get("namespace", ""), reference.get("name", "")) if reference else None


CONTROLLER = Controller(
    "persistentvolume",
    (Watch(CLAIM, _of_claim), Watch(VOLUME, _of_volume), Watch(STORAGE_CLASS, _of_class), Watch(POD, _of_pod)),
    plan,
    metrics=counted.lines,
)
