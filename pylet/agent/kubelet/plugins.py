"""Plugins of the node: each shows a socket in `plugins_registry`, says who it is, and is handed to whoever serves its
type, until its socket goes away.

Source: upstream `pkg/kubelet/pluginmanager`, `staging/src/k8s.io/kubelet/pkg/apis/pluginregistration/v1`.
"""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pylet.aio.clock import Clock
from pylet.aio.filewatch import FileWatch
from pylet.cri.socket import CallError, ServiceSocket
from pylet.cri.wire import at, message

log = logging.getLogger(__name__)

_SERVICE = "/pluginregistration.Registration"
_SECONDS = 10.0
_RETRY_SECONDS = 0.5, 122.0


class Refused(Exception):
    """The plugin cannot be used: the text is what it is told."""


class Handler(Protocol):
    """Who serves the plugins of one type."""

    async def register(self, name: str, endpoint: str, versions: tuple[str, ...]) -> None:
        """Raises: Refused."""
        ...

    async def deregister(self, name: str, endpoint: str) -> None: ...


@message
class InfoRequest:
    """An empty one, which RegistrationStatusResponse is, too."""


@message
class PluginInfo:
    type: str = at(1, "")
    name: str = at(2, "")
    endpoint: str = at(3, "")
    supported_versions: tuple[str, ...] = at(4, ())


@message
class RegistrationStatus:
    plugin_registered: bool = at(1, False)
    error: str = at(2, "")


@dataclass(slots=True)
class Plugins:
    """`run` follows the sockets in `directory`; `handlers` are by the type a plugin says it is."""

    directory: Path
    handlers: Mapping[str, Handler]
    clock: Clock
    _following: dict[tuple[Path, int], asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        async with FileWatch(self.directory) as watch, asyncio.TaskGroup() as group:
            while True:
                there = set(_sockets(self.directory))
                gone = [self._following.pop(which) for which in self._following.keys() - there]
                for task in gone:
                    task.cancel()
                if gone:
                    await asyncio.wait(gone)  # a plugin that starts again is let go of before it is registered anew
                for new in there - self._following.keys():
                    self._following[new] = group.create_task(self._follow(new[0]), name=f"plugin {new[0].name}")
                await watch.changed()

    async def _follow(self, path: Path) -> None:
        """Register the plugin, however long that takes, and let go of it when its socket has gone."""
        socket = ServiceSocket(str(path))
        plugin: PluginInfo | None = None
        try:
            delay, longest = _RETRY_SECONDS
            while True:
                try:
                    plugin = await self._register(socket, path)
                except (CallError, Refused) as failed:
                    log.warning("register plugin %s: %s", path, failed)
                except Exception:  # one plugin's trouble must not end the others
                    log.exception("register plugin %s", path)
                else:
                    break
                await self.clock.sleep(delay)
                delay = min(delay * 2, longest)
            await asyncio.Event().wait()
        finally:
            await socket.close()
            if plugin is not None:
                await self.handlers[plugin.type].deregister(plugin.name, plugin.endpoint or str(path))

    async def _register(self, socket: ServiceSocket, path: Path) -> PluginInfo:
        """Raises: CallError, Refused."""
        plugin = await socket.call(f"{_SERVICE}/GetInfo", InfoRequest(), PluginInfo, seconds=_SECONDS)
        try:
            handler = self.handlers.get(plugin.type)
            if handler is None:
                words = f"no handler registered for plugin type: {plugin.type} at socket {path}"
                raise Refused(f"RegisterPlugin error -- {words}")
            await handler.register(plugin.name, plugin.endpoint or str(path), plugin.supported_versions)
        except Refused as refused:
            await self._tell(socket, RegistrationStatus(False, str(refused)))
            raise
        await self._tell(socket, RegistrationStatus(True))
        log.info("plugin %s (%s) is registered", plugin.name, plugin.type)
        return plugin

    async def _tell(self, socket: ServiceSocket, status: RegistrationStatus) -> None:
        await socket.call(f"{_SERVICE}/NotifyRegistrationStatus", status, InfoRequest, seconds=_SECONDS)


def _sockets(directory: Path) -> list[tuple[Path, int]]:
    """Sockets at or below `directory`, each with when it was made: a plugin that starts again makes a new one."""
    found = []
    for path in directory.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISSOCK(status.st_mode) and not path.name.startswith("."):
            found.append((path, status.st_mtime_ns))
    return found
