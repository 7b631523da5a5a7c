"""Events as events.k8s.io/v1 serves them: the same storage as the core group's, under newer field names.

Source: pkg/apis/events/v1/conversion.go. Fields both versions know keep their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes
from pylet.api.errors import Cause
from pylet.api.kind import Kind, Strategy
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
_SAID_IF_ANY = ("reportingController", "reportingInstance")
_NEW_NAMES = {core: new for new, core in _CORE_NAMES.items()}


def to_stored(obj: Object) -> Object:
    return {_CORE_NAMES.get(name, name): value for name, value in obj.items()} | {"apiVersion": "v1"}


def from_stored(obj: Object) -> Object:
    found = {_NEW_NAMES.get(name, name): value for name, value in obj.items()} | {"apiVersion": "events.k8s.io/v1"}
    for name in _SAID_IF_ANY:
        if not found.get(name):
            found.pop(name, None)
    return found


_UNSET: Object = {"firstTimestamp": None, "lastTimestamp": None, "count": 0, "source": {}}
_FIXED = (
    *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason", "type"),
    *("eventTime", "action", "related"),
)


class EventStrategy(Strategy):
    """Stricter than the core group's. Source: pkg/apis/core/validation/events.go."""

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = [*event.validate(obj, "reportingController"), *_series(obj)]
        if not obj.get("eventTime"):
            found.append(causes.required("eventTime"))
        type_ = obj.get("type", "")
        if type_ not in ("Normal", "Warning"):
            found.append(causes.invalid("type", "", f"has invalid value: {type_}"))
        for name, unset in _UNSET.items():
            if obj.get(name, unset) != unset:
                found.append(causes.invalid(name, "", "needs to be unset"))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = event.validate(obj, "reportingController")
        if obj.get("series") != old.get("series"):
            found += _series(obj)
        for name in _FIXED:
            found += causes.immutable(name, obj.get(name), old.get(name))
        for name, field in (("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance")):
            found += causes.immutable(field, obj.get(name), old.get(name))
        return found


def _series(obj: Object) -> list[Cause]:
    series = obj.get("series")
    if series is None:
        return []
    found: list[Cause] = []
    if series.get("count", 0) < 2:
        found.append(causes.invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        found.append(causes.required("series.lastObservedTime"))
    return found


def _field(core: str) -> str:
    """This version's name for one of the core group's selectable fields."""
    first, dot, rest = core.partition(".")
    return _NEW_NAMES.get(first, first) + dot + rest


def _cells(obj: Object, now: datetime) -> list[Any]:
    return event.cells(to_stored(obj), now)


KIND = Kind(
    group="events.k8s.io",
    version="v1",
    name="Event",
    plural="events",
    definition="io.k8s.api.events.v1.Event",
    short_names=("ev",),
    strategy=EventStrategy(),
    columns=event.KIND.columns,
    cells=_cells,
    fields={_field(name): read for name, read in event.KIND.fields.items() if name != "source"},
    stored_as=event.KIND,
    to_stored=to_stored,
    from_stored=from_stored,
)
