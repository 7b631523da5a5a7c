"""Conditions as controllers keep them: one a type, and its transition time moves only when its status does. Pure.

Source: upstream `apimachinery/pkg/api/meta/conditions.go` (SetStatusCondition) and its many siblings.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api import timestamps
from pylet.api.object import Object


def with_condition(conditions: Iterable[Object], fresh: Object, now: datetime) -> list[Object]:
    """`conditions` with `fresh`, which names its type and status, in the place of the one of its type."""
    found: list[Object] = []
    rest: Object | None = {**fresh, "lastTransitionTime": timestamps.format_time(now)}
    for condition in conditions:
        if rest is not None and condition["type"] == fresh["type"]:
            if condition.get("status") == fresh["status"]:
                rest["lastTransitionTime"] = condition.get("lastTransitionTime") or rest["lastTransitionTime"]
            found.append({**condition, **rest})
            rest = None
        else:
            found.append(condition)
    return found if rest is None else [*found, rest]
