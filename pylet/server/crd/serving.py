"""Keeps what is served equal to what the CustomResourceDefinitions say.

A definition's kinds are made anew, and its watches end, only when what they are made of changed: its spec or the names
it was given.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import orjson

from pylet.api.errors import ApiError
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.client.view import Entry, Table
from pylet.server.crd import counted
from pylet.server.registry.registry import Registry

if TYPE_CHECKING:
    from pylet.api.kind import Kind

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5


class Definitions:
    """`start` serves what is defined already; `run` fills caches behind the back of those who read them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: dict[str, bytes] = {}  # a digest of what each definition's kinds were made of
        self._unfilled: asyncio.Queue[Kind] = asyncio.Queue()
        self._followers: list[tuple[Callable[[Kind, Table], None], Callable[[Kind], None]]] = []
        self.tables: dict[str, tuple[Kind, Table]] = {}
        """The filled table of each definition, by its name."""
        registry.kinds.listen(self._replaced)

    def kind(self, definition: str) -> Kind | None:
        """The kind whose filled table holds what that definition defined."""
        found = self.tables.get(definition)
        return found[0] if found is not None else None

    def follow(self, came: Callable[[Kind, Table], None], went: Callable[[Kind], None]) -> None:
        """Be told of one kind a definition, once its table is filled, and of its going."""
        self._followers.append((came, went))
        for kind, table in self.tables.values():
            came(kind, table)

    def _replaced(self, gone: Sequence[Kind], fresh: Sequence[Kind]) -> None:
        for kind in gone:
            if self.kind(kind.resource) is kind:
                del self.tables[kind.resource]
                for _, went in self._followers:
                    went(kind)

    def start(self) -> None:
        table = self._registry.table(DEFINITION)
        for entry in list(table.entries.values()):
            self._changed(None, entry)
        table.listen(self._changed)

    async def run(self) -> None:
        """Controllers see a custom kind's objects from here on, asked for or not."""
        while True:
            kind = await self._unfilled.get()
            if self._registry.kinds.by_resource(kind.group, kind.version, kind.plural) is not kind:
                continue
            try:
                table = await self._registry.load_table(kind)
            except ApiError as failed:
                log.warning("cannot read the %s: %s", kind.resource, failed.message)
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._unfilled.put_nowait, kind)
                continue
            if self._registry.kinds.by_resource(kind.group, kind.version, kind.plural) is kind:
                self.tables[kind.resource] = kind, table
                for came, _ in self._followers:
                    came(kind, table)

    def _changed(self, before: Entry | None, after: Entry | None) -> None:
        from pylet.api.crd import names

        name = (after or before).key.name  # type: ignore[union-attr]
        crd = after.object if after is not None else None
        if after is None or crd is None or not names.is_served(crd):
            self._made.pop(name, None)
            self._registry.kinds.replace(name, ())
            return
        shown = [crd["spec"], crd["status"]["acceptedNames"], crd["metadata"]["uid"]]
        made_of = hashlib.sha256(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)).digest()
        if self._made.get(name) == made_of:
            return
        from pylet.api.crd.kinds import kinds_of

        self._made[name] = made_of
        try:
            fresh = kinds_of(after.raw, counted.timed)
        except (ValueError, KeyError, StopIteration):
            log.exception("cannot serve what %s defines", name)
            fresh = []
        self._registry.kinds.replace(name, fresh)
        if fresh:
            self._unfilled.put_nowait(fresh[-1])
