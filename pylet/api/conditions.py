"""What every `metav1.Condition` must be. Source: apimachinery pkg/apis/meta/v1/validation.ValidateConditions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object

_REASON = re.compile("[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_NO_REASON = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
    "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or "
    "'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
    f"'{_REASON.pattern}')"
)
_STATUSES = ("False", "True", "Unknown")
_MOST_REASON, _MOST_MESSAGE = 1024, 32768


def validate(conditions: Sequence[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for position, condition in enumerate(conditions):
        where, type_ = f"{field}[{position}]", condition.get("type", "")
        if type_ in seen:
            found.append(causes.duplicate(f"{where}.type", type_))
        seen.add(type_)
        found += _one(condition, where)
    return found


def _one(condition: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    if not condition.get("type"):
        found.append(causes.required(f"{where}.type"))
    else:
        found += causes.each(f"{where}.type", condition["type"], names.qualified_name(condition["type"]))
    if (status := condition.get("status", "")) not in _STATUSES:
        found.append(causes.not_supported(f"{where}.status", status, _STATUSES))
    if (generation := condition.get("observedGeneration", 0)) < 0:
        found.append(causes.invalid(f"{where}.observedGeneration", generation, "must be greater than or equal to zero"))
    if not condition.get("lastTransitionTime"):
        found.append(causes.required(f"{where}.lastTransitionTime"))
    if not (reason := condition.get("reason", "")):
        found.append(causes.required(f"{where}.reason"))
    elif not _REASON.fullmatch(reason):
        found.append(causes.invalid(f"{where}.reason", reason, _NO_REASON))
    if len(reason) > _MOST_REASON:
        found.append(causes.too_long(f"{where}.reason", _MOST_REASON))
    if len(condition.get("message", "")) > _MOST_MESSAGE:
        found.append(causes.too_long(f"{where}.message", _MOST_MESSAGE))
    return found
