"""Single values as a node's configuration files write them. Pure; what cannot be read is a ValueError that says why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pylet.api import goduration
from pylet.api.quantity import NANOS, parse


class BadConfig(ValueError):
    """The file cannot be followed; the message says which field and why."""


def whole(text: Any) -> int:
    if isinstance(text, bool) or not isinstance(text, int):
        raise ValueError(f"{text!r} is not a whole number")
    return text


def port(text: Any) -> int:
    if not 0 <= whole(text) <= 65535:
        raise ValueError(f"{text} must be between 1 and 65535, inclusive")
    return int(text)


def flag(text: Any) -> bool:
    if not isinstance(text, bool):
        raise ValueError(f"{text!r} is neither true nor false")
    return text


def one_of(*names: str) -> Callable[[Any], str]:
    def check(text: Any) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is none of {', '.join(names)}")
        return str(text)

    return check


def span(text: Any) -> timedelta:
    """As Go writes a duration: `1m30s`; none of those that are set may be negative."""
    found = goduration.parse(str(text))
    if found < timedelta():
        raise ValueError(f"{text} must not be negative")
    return found


def size(text: Any) -> int:
    return parse(str(text)).nanos // NANOS


def texts(found: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in found.items()}


def spans(found: Any) -> dict[str, timedelta]:
    return {str(name): span(text) for name, text in found.items()}
