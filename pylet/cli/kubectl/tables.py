"""The server's Tables as lines, as kubectl decorates them. Source: cli-runtime `pkg/printers/tableprinter.go`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pylet.api.object import Object
from pylet.cli.kubectl.documents import to_text
from pylet.cli.kubectl.tabs import Columns

ACCEPT = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
_EVENTS = {"ADDED": "ADDED   ", "DELETED": "DELETED ", "ERROR": "ERROR   "}
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass
class TablePrinter:
    """Remembers columns and widths between the tables of one resource, as they come from a watch."""

    wide: bool = False
    no_headers: bool = False
    with_namespace: bool = False
    prefix: str = ""
    """`deployment.apps`, put in front of names when several kinds are listed; "" for none."""
    show_labels: bool = False
    label_columns: Sequence[str] = ()
    _definitions: list[Object] = field(default_factory=list)
    _columns: Columns = field(default_factory=Columns)
    _headed: bool = False

    def lines(self, table: Object, event: str = "") -> str:
        """The text for a table, or for an object the server made no table of."""
        if table.get("kind") != "Table":
            table = _plain_table(table)
        definitions = table.get("columnDefinitions") or self._definitions
        if definitions != self._definitions:
            self._definitions, self._headed = definitions, False
            self._columns.forget()
        rows = [self._row(row, definitions, event) for row in table.get("rows") or ()]
        if rows and not self._headed:
            self._headed = True
            if not self.no_headers:
                rows.insert(0, self._header(definitions, event))
        return self._columns.lines(rows)

    def _header(self, definitions: Sequence[Object], event: str) -> list[str]:
        shown = [d["name"].upper() for d in definitions if self._is_shown(d)]
        labels = [key.rsplit("/", 1)[-1].upper() for key in self.label_columns]
        return [
            *(["EVENT"] if event else []),
            *(["NAMESPACE"] if self.with_namespace else []),
            *shown,
            *labels,
            *(["LABELS"] if self.show_labels else []),
        ]

    def _is_shown(self, definition: Object) -> bool:
        return self.wide or not definition.get("priority")

    def _row(self, row: Object, definitions: Sequence[Object], event: str) -> list[str]:
        meta = (row.get("object") or {}).get("metadata") or {}
        labels = meta.get("labels") or {}
        cells = []
        named = False
        for cell, definition in zip(row["cells"], definitions, strict=False):
            text = _cell(cell)
            if self.prefix and not named and definition.get("format") == "name":
                named, text = True, f"{self.prefix}/{text}"
            if self._is_shown(definition):
                cells.append(text)
        all_labels = ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"
        return [
            *([_EVENTS.get(event, event)] if event else []),
            *([meta.get("namespace", "")] if self.with_namespace else []),
            *cells,
            *(labels.get(key, "") for key in self.label_columns),
            *([all_labels] if self.show_labels else []),
        ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return to_text(value)
    end = re.search("[\f\n\r]", value)
    text = value[: end.start()] + "..." if end else value
    return _CONTROL.sub(lambda match: f"^{chr(ord(match[0]) ^ 0x40)}", text)


def _plain_table(obj: Object) -> Object:
    """Name and age, for a server that has no table of this."""
    from datetime import UTC, datetime

    from pylet.api.columns import age

    now = datetime.now(UTC)
    items = obj.get("items", [obj])
    rows = [{"cells": [item["metadata"]["name"], age(item, now)], "object": item} for item in items]
    names = [{"name": "Name", "type": "string", "format": "name"}, {"name": "Age", "type": "string"}]
    return {"kind": "Table", "columnDefinitions": names, "rows": rows}
