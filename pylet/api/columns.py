"""What printer columns of several kinds share. Sources: pkg/printers/internalversion/printers.go, util/duration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import selector
from pylet.api.kind import Column
from pylet.api.object import Object, dig
from pylet.api.timestamps import parse

NAME_TEXT = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a "
    "client to request the generation of an appropriate name automatically. Name is primarily intended for creation "
    "idempotence and configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
CREATED_TEXT = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed "
    "to be set in happens-before order across separate operations. Clients may not set this value. It is represented "
    "in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", description="When the server created the object.")
CONTAINERS = Column("Containers", priority=1, description="Names of each container in the template.")
IMAGES = Column("Images", priority=1, description="Images referenced by each container in the template.")
SELECTOR = Column("Selector", priority=1, description="Label selector for pods.")
UNKNOWN = "<unknown>"


def age(obj: Object, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def since(timestamp: str | None, now: datetime) -> str:
    """How long ago, for people; `<unknown>` without a timestamp."""
    return human_duration((now - parse(timestamp)).total_seconds()) if timestamp else UNKNOWN


def human_duration(seconds: float) -> str:
    """`45s`, `3m20s`, `26h`, `5d3h`, `2y40d`: no more than two units. Source: duration.HumanDuration."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    return _two(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def stays(seconds: float) -> float:
    """For how many seconds more `human_duration` says the same."""
    step = 1 if seconds < 600 else 60 if seconds < 8 * 3600 else 3600 if seconds < 8 * 86400 else 86400
    return step - seconds % step


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def template_cells(spec: Object) -> list[Any]:
    """Containers, Images and Selector of what has a pod template."""
    containers = dig(spec, "template", "spec", "containers", default=())
    return [
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
        selector_cell(spec.get("selector")),
    ]


def selector_cell(of: Object | None) -> str:
    if of is None:
        return "<none>"
    try:
        return str(selector.from_object(of)) or "<none>"
    except (ValueError, KeyError):
        return "<invalid>"


def labels_cell(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def listed(shown: list[str], most: int = 3) -> str:
    """The first few of a list, and how many more there are; source: listWithMoreString."""
    if not shown:
        return "<unset>"
    more = len(shown) - most
    return ",".join(shown[:most]) + (f" + {more} more..." if more > 0 else "")
