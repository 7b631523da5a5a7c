"""Events, as the core group serves and the store keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig

_LENGTHS = {"reportingInstance": 128, "action": 128, "reason": 128}
_MESSAGE_CHARACTERS = 1024


class EventStrategy(Strategy):
    """Source: pkg/apis/core/validation/events.go, legacyValidateEvent."""

    def name_problems(self, name: str) -> Sequence[str]:
        return names.path_segment(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        return validate(obj, "reportingComponent")


def validate(obj: Object, controller: str) -> list[Cause]:
    """What every Event must be; `controller` is how the version asked for names reportingComponent."""
    about, own = dig(obj, "involvedObject", "namespace", default=""), obj["metadata"].get("namespace", "")
    mismatch = [causes.invalid("involvedObject.namespace", about, "does not match event.namespace")]
    if not obj.get("eventTime"):
        return mismatch if own not in ((about,) if about else ("", "default")) else []
    # Events about cluster-scoped objects live in `default`.
    found = mismatch if not about and own not in ("default", "kube-system") else []
    name = obj.get("reportingComponent", "")
    if not name:
        found.append(causes.required(controller))
    found += causes.each(controller, name, names.qualified_name(name))
    for field, most in _LENGTHS.items():
        if not obj.get(field):
            found.append(causes.required(field))
        elif len(obj[field]) > most:
            found.append(causes.invalid(field, "", f"can have at most {most} characters"))
    if len(obj.get("message", "")) > _MESSAGE_CHARACTERS:
        found.append(causes.invalid("message", "", f"can have at most {_MESSAGE_CHARACTERS} characters"))
    return found


def cells(obj: Object, now: datetime) -> list[Any]:
    first = columns.since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = columns.since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    series = obj.get("series")
    if series:
        last, count = columns.since(series.get("lastObservedTime"), now), series.get("count", 0)
    involved, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    kind = involved.get("kind", "").lower()
    origin = [
        source.get("component") or obj.get("reportingComponent"),
        source.get("host") or obj.get("reportingInstance"),
    ]
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{involved['name']}" if involved.get("name") else kind,
        involved.get("fieldPath", ""),
        ", ".join(part for part in origin if part),
        obj.get("message", "").strip(),
        first,
        count,
        obj["metadata"]["name"],
    ]


def _involved(field: str) -> Callable[[Object], str]:
    return lambda obj: (obj.get("involvedObject") or {}).get(field, "")


def _source(obj: Object) -> str:
    component: str = dig(obj, "source", "component") or obj.get("reportingComponent", "")
    return component


_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

KIND = Kind(
    group="",
    version="v1",
    name="Event",
    plural="events",
    definition="io.k8s.api.core.v1.Event",
    short_names=("ev",),
    strategy=EventStrategy(),
    columns=(
        Column("Last Seen", description="The time at which the most recent occurrence of this event was recorded."),
        Column("Type", description="Type of this event (Normal, Warning), new types could be added in the future"),
        Column("Reason", description="Why the action was taken, in one CamelCase word."),
        Column("Object", description="The object that this event is about."),
        Column("Subobject", priority=1, description="The part of the object this event is about."),
        Column("Source", priority=1, description="The component reporting this event."),
        Column("Message", description="A human-readable description of the status of this operation."),
        Column("First Seen", priority=1, description="The time at which the event was first recorded."),
        Column("Count", priority=1, description="The number of times this event has occurred."),
        Column("Name", priority=1, format="name", description="Name must be unique within a namespace."),
    ),
    cells=cells,
    fields={
        **{f"involvedObject.{field}": _involved(field) for field in _INVOLVED},
        "reason": lambda obj: obj.get("reason", ""),
        "reportingComponent": lambda obj: obj.get("reportingComponent", ""),
        "source": _source,
        "type": lambda obj: obj.get("type", ""),
    },
)
