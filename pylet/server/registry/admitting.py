"""Who of admission's CHAIN sees a write, and asking them: first to complete the object, then to judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.server.admission.interface import Attributes, Plugin
from pylet.server.registry.request import Request
from pylet.server.registry.state import State


class Admitted:
    """A write whose object is complete: `validate` it when it is as it will be stored, and `settle` it at the end."""

    __slots__ = ("_plugins", "_write")

    def __init__(self, write: Attributes | None = None, plugins: Sequence[Plugin] = ()) -> None:
        self._write = write
        self._plugins = plugins

    async def validate(self, key: Key) -> None:
        """`key` names the object, which may have got its name only now. Raises: ApiError."""
        if self._write is None:
            return
        if self._write.key != key:
            self._write = replace(self._write, key=key, name=key.name)
        for plugin in self._plugins:
            if plugin.validate is not None:
                await plugin.validate(self._write)

    def settle(self) -> None:
        if self._write is not None and self._write.settled:
            for settled in self._write.settled:
                settled()
            self._write.settled.clear()


class Admission:
    """`chain` may still grow until the first write."""

    def __init__(self, state: State, chain: Sequence[Plugin]) -> None:
        self._state = state
        self._chain = chain
        self._kinds = {kind.name: kind for kind in state.caches}
        self._plugins: dict[tuple[str, str, str], list[Plugin]] = {}

    async def admit(
        self, request: Request, operation: str, kind: Kind, key: Key, obj: Object | None, old: Object | None
    ) -> Admitted:
        """Have the plugins that see this write complete `obj`. Raises: ApiError."""
        # A custom resource may be called as a built-in one is; only what sees everything sees it.
        which = (kind.plural if kind.storage is None else "", request.subresource, operation)
        plugins = self._plugins.get(which)
        if plugins is None:
            plugins = self._plugins[which] = [plugin for plugin in self._chain if _sees(plugin, *which)]
        if not plugins:
            return Admitted()
        meta = (obj or old or {}).get("metadata") or {}
        caches = self._state.caches
        cache = caches.get(kind)
        write = Attributes(
            operation=operation,
            kind=kind,
            key=key,
            name=key.name or meta.get("generateName", ""),
            subresource=request.subresource,
            user=request.user,
            obj=obj,
            old=old,
            table=lambda name: caches[self._kinds[name]].table,
            own=cache.table if cache is not None else None,
            dry_run=request.dry_run,
            warnings=request.warnings,
        )
        for plugin in plugins:
            if plugin.admit is not None:
                await plugin.admit(write)
        return Admitted(write, plugins)


def _sees(plugin: Plugin, plural: str, subresource: str, operation: str) -> bool:
    names = (plural, "*") if not subresource else (f"{plural}/{subresource}", f"{plural}/*", "*")
    return any(operation in plugin.resources.get(name, ()) for name in names)
