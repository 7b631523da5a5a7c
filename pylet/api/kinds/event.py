"""Events, as the core group serves and the store keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class EventStrategy(Strategy):
    def validate(self, obj: Object) -> Sequence[Cause]:
        about, own = dig(obj, "involvedObject", "namespace", default=""), obj["metadata"].get("namespace", "")
        # Events about cluster-scoped objects live in `default`.
        if about != own and not (not about and own in ("default", "kube-system")):
            return [causes.invalid("involvedObject.namespace", about, "does not match event.namespace")]
        return ()


def _cells(obj: Object, now: datetime) -> list[Any]:
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
    cells=_cells,
    fields={
        **{f"involvedObject.{field}": _involved(field) for field in _INVOLVED},
        "reason": lambda obj: obj.get("reason", ""),
        "reportingComponent": lambda obj: obj.get("reportingComponent", ""),
        "source": _source,
        "type": lambda obj: obj.get("type", ""),
    },
)
