"""The description of an object nothing is known about: its fields, named after their keys."""

from __future__ import annotations

import re
from typing import Any

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page
from pylet.cli.kubectl.documents import to_text

_SHOWN_ABOVE = {
    ".metadata.managedFields",
    ".metadata.name",
    ".metadata.namespace",
    ".metadata.labels",
    ".metadata.annotations",
}
_ACRONYMS = {"API", "URL", "UID", "GUID"}


def describe(page: Page, obj: Object) -> None:
    page.head(obj)
    page.labelled(obj)
    _fields(page, obj, 0, "")
    page.events(obj)


def _fields(page: Page, content: Object, level: int, prefix: str) -> None:
    for field, value in sorted(content.items()):
        path = f"{prefix}.{field}"
        if path in _SHOWN_ABOVE:
            continue
        match value:
            case dict():
                page.write(f"{label(field)}:", level)
                _fields(page, value, level + 1, path)
            case list():
                page.write(f"{label(field)}:", level)
                for child in value:
                    if isinstance(child, dict):
                        _fields(page, child, level + 1, path)
                    else:
                        page.write(_text(child), level + 1)
            case _:
                page.write(f"{label(field)}:\t{_text(value)}", level)


def _text(value: Any) -> str:
    return "<nil>" if value is None else to_text(value)


def label(field: str) -> str:
    """`creationTimestamp` as `Creation Timestamp`; a name with other signs stays."""
    if not re.fullmatch(r"[A-Za-z-]+", field):
        return field
    words = []
    for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|-", field):
        if part.upper() in _ACRONYMS:
            words.append(part.upper())
        else:
            words.append(part[0].upper() + part[1:])
    return " ".join(words)
