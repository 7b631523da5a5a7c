"""The kinds that are served now: the built-in ones, and those that CustomResourceDefinitions add while the server runs.

Each definition owns its kinds, one a served version, and replaces them as a whole. Documents made of the kinds
(discovery, OpenAPI) are as old as the `generation` they were made at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from pylet.api import kinds
from pylet.api.kind import Kind

Listener = Callable[[Sequence[Kind], Sequence[Kind]], None]
"""Told the kinds that went and the kinds that came."""


class Served:
    def __init__(self, built_in: Iterable[Kind] | None = None) -> None:
        self._built_in = kinds.all_kinds() if built_in is None else tuple(built_in)
        self._groups = {kind.group for kind in self._built_in}
        self._by_resource = {(kind.group, kind.version, kind.plural): kind for kind in self._built_in}
        self._by_kind = {(kind.group, kind.version, kind.name): kind for kind in self._built_in}
        self._custom: dict[str, Sequence[Kind]] = {}
        self._listeners: list[Listener] = []
        self.generation = 0

    def __iter__(self) -> Iterator[Kind]:
        yield from self._built_in
        yield from self.custom()

    def custom(self) -> Iterator[Kind]:
        for found in self._custom.values():
            yield from found

    def by_resource(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_resource.get((group, version, plural))

    def by_kind(self, group: str, version: str, name: str) -> Kind | None:
        return self._by_kind.get((group, version, name))

    def has_built_in(self, group: str) -> bool:
        return group in self._groups

    def of(self, owner: str) -> Sequence[Kind]:
        """What the definition of that name has added."""
        return self._custom.get(owner, ())

    def versions(self, kind: Kind) -> Sequence[Kind]:
        """All versions (and groups) that show what `kind` shows, itself among them."""
        if kind.storage is not None:
            return self.of(kind.resource)
        base = kind.stored_as or kind
        return [other for other in self._built_in if (other.stored_as or other) is base]

    def replace(self, owner: str, fresh: Sequence[Kind]) -> None:
        """Serve `fresh` in place of what `owner` had; built-in kinds cannot be hidden."""
        gone = self._custom.pop(owner, ())
        if not gone and not fresh:
            return
        for kind in gone:
            self._by_resource.pop((kind.group, kind.version, kind.plural), None)
            self._by_kind.pop((kind.group, kind.version, kind.name), None)
        fresh = [kind for kind in fresh if (kind.group, kind.version, kind.plural) not in self._by_resource]
        if fresh:
            self._custom[owner] = tuple(fresh)
        for kind in fresh:
            self._by_resource[kind.group, kind.version, kind.plural] = kind
            self._by_kind[kind.group, kind.version, kind.name] = kind
        self.generation += 1
        for listener in list(self._listeners):
            listener(gone, fresh)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear of every later change; returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
