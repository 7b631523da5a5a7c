"""Numbers that may be percentages: how much of a workload may be missing or too many at a time."""

from __future__ import annotations

from typing import Any

from pylet.api import causes, names
from pylet.api.errors import Cause


def int_or_percent(value: int | str, field: str) -> list[Cause]:
    """ValidatePositiveIntOrPercent and IsNotMoreThan100Percent."""
    if isinstance(value, int):
        says = "must be greater than or equal to 0"
        return [causes.invalid(field, value, says)] if value < 0 else []
    if problems := names.percent(value):
        return causes.each(field, value, problems)
    return [causes.invalid(field, value, "must not be greater than 100%")] if int(value[:-1]) > 100 else []


def is_zero(value: Any) -> bool:
    """Whether it comes to nothing; what is no percentage does (getIntOrPercentValue)."""
    if isinstance(value, int):
        return value == 0
    return bool(names.percent(value)) or int(value[:-1]) == 0
