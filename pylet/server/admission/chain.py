"""The plugins in their order, and which of them see a write: found once for each sort of write.

A plugin whose `resources` change while the server runs says so by `changed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pylet.server.admission.interface import Admit, Plugin

LAST = "ResourceQuota"


class Seeing(NamedTuple):
    """Who is asked about one sort of write, by name: first who may still change the object, then who only judges it."""

    admit: Sequence[tuple[str, Admit]] = ()
    validate: Sequence[tuple[str, Admit]] = ()


class Chain:
    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        self._plugins = list(plugins)
        self._found: dict[tuple[str, str, str], Seeing] = {}

    def append(self, plugin: Plugin) -> None:
        self._plugins.append(plugin)
        self.changed()

    def extend_before_last(self, plugins: Iterable[Plugin]) -> None:
        """Quota is counted when nothing else can refuse any more."""
        at = next((n for n, plugin in enumerate(self._plugins) if plugin.name == LAST), len(self._plugins))
        self._plugins[at:at] = plugins
        self.changed()

    def changed(self) -> None:
        self._found.clear()

    def seeing(self, plural: str, subresource: str, operation: str) -> Seeing:
        which = plural, subresource, operation
        found = self._found.get(which)
        if found is None:
            seeing = [plugin for plugin in self._plugins if _sees(plugin, *which)]
            found = self._found[which] = Seeing(
                [(plugin.name, plugin.admit) for plugin in seeing if plugin.admit is not None],
                [(plugin.name, plugin.validate) for plugin in seeing if plugin.validate is not None],
            )
        return found


def _sees(plugin: Plugin, plural: str, subresource: str, operation: str) -> bool:
    names = (plural, "*") if not subresource else (f"{plural}/{subresource}", f"{plural}/*", "*")
    return any(operation in plugin.resources.get(name, ()) for name in names)
