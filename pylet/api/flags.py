"""A component's configuration as flags that could have been given on the command line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any


def as_flags(config: Any, untold: Collection[str]) -> dict[str, str]:
    """Of a dataclass whose fields are named as the flags are; `untold` are those that are secret, or no flags."""
    told = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in untold}
    return {name.replace("_", "-"): _as_flag(value) for name, value in told.items()}


def _as_flag(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
