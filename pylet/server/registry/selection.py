"""What a list or a watch selects: a namespace, a label selector, a field selector; parsed once per wording.

A Selection is hashable, so that watchers of the same selection share what they are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from pylet.api import selector
from pylet.api.errors import BadRequest
from pylet.api.kind import Kind
from pylet.api.remembered import LONGEST
from pylet.client.view import Entry, Table
from pylet.server.registry.ordered import Ordered

_NAME = "metadata.name"
_NAMESPACE = "metadata.namespace"


_SELECTABLE = {
    "certificatesigningrequests.certificates.k8s.io",
    "events",
    "events.events.k8s.io",
    "namespaces",
    "nodes",
    "pods",
    "replicationcontrollers",
    "resourceslices.resource.k8s.io",
    "secrets",
    "services",
}
"""What upstream has fields of for clients to select by; other kinds have some for whoever is in this process."""


class UnknownField(BadRequest):
    """A selector that can be read, by what cannot be selected by."""


class Selection:
    """Compared by identity: `selection_of` gives one object per wording."""

    __slots__ = ("_index", "_label", "_labels", "_terms", "index", "is_plain", "name", "namespace", "pinned")

    def __init__(self, kind: Kind, namespace: str, labels: str, fields: str) -> None:
        try:
            parsed = selector.parse_labels(labels)
        except ValueError as bad:
            raise BadRequest(str(bad)) from bad
        self._labels = None if parsed.is_everything else parsed
        self._label = parsed.equals()
        self.namespace = namespace
        self.name: str | None = None
        self._index: tuple[str, str] | None = None
        self._read_fields(kind, fields)
        self.is_plain = self._labels is None and not self._terms and self.name is None
        self.index = "" if self._index is None else f"f:{self._index[0]}"
        """Upstream's name of what leads to it."""
        self.pinned = (self.namespace, self.name or "")
        """Where all that is selected lies; "" is anywhere."""

    def _read_fields(self, kind: Kind, text: str) -> None:
        try:
            terms = selector.parse_fields(text).terms
        except ValueError as bad:
            raise BadRequest(str(bad)) from bad
        stored = kind.stored_as or kind
        indexed, readers = list(stored.fields), list(stored.fields.values())
        positions = {_NAME: -1, _NAMESPACE: -2}
        positions |= {name: readers.index(read) for name, read in (kind.fields or stored.fields).items()}
        if (kind.resource in _SELECTABLE or kind.schema is not None) and not kind.namespaced:
            del positions[_NAMESPACE]
        chosen: dict[tuple[int, bool, str], set[str]] = {}  # what a field must not be, taken together
        for field, value, equal in terms:
            position = positions.get(field)
            if position is None:
                raise UnknownField(_unknown_field(kind, field))
            if position == -1 and equal and self.name is None:
                self.name = value
            elif position == -2 and equal and self.namespace in ("", value):
                self.namespace = value
            else:
                chosen.setdefault((position, equal, value if equal else ""), set()).add(value)
                if position >= 0 and equal:
                    self._index = (indexed[position], value)
        self._terms = [(position, frozenset(values), equal) for (position, equal, _), values in chosen.items()]

    def matches(self, entry: Entry) -> bool:
        key = entry.key
        if self.namespace and key.namespace != self.namespace:
            return False
        if self.name is not None and key.name != self.name:
            return False
        for position, values, equal in self._terms:
            found = entry.fields[position] if position >= 0 else key.name if position == -1 else key.namespace
            if (found in values) is not equal:
                return False
        return self._labels is None or self._labels(entry.labels)

    def among(self, ordered: Ordered, where: slice) -> Iterator[Entry]:
        """Those there, which are of its namespace, that match."""
        if self._label is not None:
            return filter(self.matches, ordered.bearing(*self._label, where))
        rows = islice(ordered.entries, where.start, where.stop)
        return rows if self.is_plain else filter(self.matches, rows)

    def of(self, table: Table) -> list[Entry]:
        """What matches, found by an index where there is one."""
        rows = table.with_field(*self._index) if self._index is not None else table.in_namespace(self.namespace)
        return list(rows.values() if self.is_plain else filter(self.matches, rows.values()))

    @property
    def is_indexed(self) -> bool:
        """Whether an index leads to far fewer candidates than the whole namespace."""
        return self._index is not None


def selection_of(kind: Kind, namespace: str, labels: str, fields: str) -> Selection:
    """Raises: BadRequest."""
    is_short = len(namespace) + len(labels) + len(fields) <= LONGEST
    return (_known if is_short else Selection)(kind, namespace, labels, fields)


_known = lru_cache(1024)(Selection)


def _unknown_field(kind: Kind, field: str) -> str:
    # Source: runtime.DefaultMetaV1FieldSelectorConversion; kinds with fields of their own word it their own way.
    if kind.name == "Job":
        return f'field label "{field}" not supported for Job'
    if kind.name == "ResourceSlice":
        return f"field label not supported for {kind.api_version}, Kind={kind.name}: {field}"
    if kind.resource in _SELECTABLE or kind.schema is not None:
        return f"field label not supported: {field}"
    return f'"{field}" is not a known field selector: only "{_NAME}", "{_NAMESPACE}"'
