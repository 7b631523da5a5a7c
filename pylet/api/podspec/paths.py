"""Paths inside volumes and containers."""

from __future__ import annotations

from pylet.api import causes
from pylet.api.errors import Cause


def validate_descending(path: str, field: str) -> list[Cause]:
    """A path below something: relative, and never upwards."""
    if path.startswith("/"):
        return [causes.invalid(field, path, "must be a relative path")]
    return no_backsteps(path, field)


def no_backsteps(path: str, field: str) -> list[Cause]:
    return [causes.invalid(field, path, "must not contain '..'")] if ".." in path.split("/") else []
