"""A VolumeAttributesClass that is deleted waits for those that name it."""

from __future__ import annotations

from datetime import UTC, datetime

from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.volumeattributesclass import KIND as CLASS
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import vac_protection

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = Key("", "fast")


def test_it_goes_when_nobody_names_it() -> None:
    tables = {kind: Table(kind) for kind in (CLASS, VOLUME, CLAIM)}
    view = View(tables)

    def actions() -> int:
        return len(vac_protection.CONTROLLER.plan(KEY, view, NOW).actions)

    meta: Object = {"name": "fast", "resourceVersion": "1"}
    tables[CLASS].put(Entry.of(CLASS, {"metadata": meta}))
    assert actions() == 1  # it gets the finalizer it lacks
    meta = meta | {"finalizers": [vac_protection.FINALIZER], "deletionTimestamp": "2026-01-01T12:00:00Z"}
    tables[CLASS].put(Entry.of(CLASS, {"metadata": meta}))
    claim = {"metadata": {"name": "c", "namespace": "a"}, "spec": {"volumeAttributesClassName": "fast"}}
    tables[CLAIM].put(Entry.of(CLAIM, claim))
    assert actions() == 0
    (users,) = [watch for watch in vac_protection.CONTROLLER.watches if watch.kind is CLAIM]
    assert list(users.keys(Entry.of(CLAIM, claim), view)) == [KEY]
    tables[CLAIM].remove(Key("a", "c"))
    assert actions() == 1
