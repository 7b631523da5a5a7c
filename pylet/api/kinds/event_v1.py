"""Events as events.k8s.io/v1 serves them: the same storage as the core group's, under newer field names.

Source: pkg/apis/events/v1/conversion.go. Fields both versions know keep their names.
"""

from __future__ import annotations

from pylet.api.kind import Kind
from pylet.api.kinds import event
from pylet.api.object import Object

_CORE_NAMES = {
    "deprecatedCount": "count",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedSource": "source",
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
}
_NEW_NAMES = {core: new for new, core in _CORE_NAMES.items()}


def to_stored(obj: Object) -> Object:
    return {_CORE_NAMES.get(name, name): value for name, value in obj.items()} | {"apiVersion": "v1"}


def from_stored(obj: Object) -> Object:
    return {_NEW_NAMES.get(name, name): value for name, value in obj.items()} | {"apiVersion": "events.k8s.io/v1"}


KIND = Kind(
    group="events.k8s.io",
    version="v1",
    name="Event",
    plural="events",
    definition="io.k8s.api.events.v1.Event",
    short_names=("ev",),
    stored_as=event.KIND,
    to_stored=to_stored,
    from_stored=from_stored,
)
