"""Where device plugins say that they are there: a socket of the kubelet, or one of theirs among the node's plugins.

The rest of this package is loaded when the first one does. Plugins register anew when the kubelet's socket is made
anew. Source: upstream `pkg/kubelet/cm/devicemanager/plugin/v1beta1/{server,handler}.go`.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.plugins import Refused
from pylet.api import resources
from pylet.cri import served, wire
from pylet.cri.socket import CallError

if TYPE_CHECKING:
    from pylet.agent.kubelet.devices.allocating import Devices

log = logging.getLogger(__name__)

PLUGIN_TYPE = "DevicePlugin"
_VERSION = "v1beta1"
_SOCKET = "kubelet.sock"


@dataclass(frozen=True, slots=True)
class Registration:
    """`run` serves the socket in `directory`; it is also the `plugins.Handler` of PLUGIN_TYPE."""

    directory: Path
    devices: Callable[[], Devices]

    async def run(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        for left in self.directory.iterdir():
            if stat.S_ISSOCK(left.lstat().st_mode):
                left.unlink()
        path = f"/{_VERSION}.Registration/Register"
        await served.serve(self.directory / _SOCKET, {path: self._register})

    async def register(self, name: str, endpoint: str, versions: tuple[str, ...]) -> None:
        """Raises: Refused."""
        if _VERSION not in versions:
            listed = " ".join(versions)
            words = f"manager version, {_VERSION}, is not among plugin supported versions [{listed}]"
            raise Refused(f"RegisterPlugin error -- plugin validation failed with err: {words}")
        if not resources.is_extended(name):
            words = f'invalid name of device plugin socket: the ResourceName "{name}" is invalid'
            raise Refused(f"RegisterPlugin error -- plugin validation failed with err: {words}")
        try:
            await self.connect(name, Path(endpoint))
        except Refused as refused:
            raise Refused(f"RegisterPlugin error -- plugin registration failed with err: {refused}") from refused

    async def deregister(self, name: str, endpoint: str) -> None:
        self.devices().disconnect(name)

    async def connect(self, name: str, endpoint: Path) -> None:
        """Raises: Refused."""
        try:
            await self.devices().connect(name, endpoint)
        except CallError as failed:
            raise Refused(f"failed to get device plugin options: {failed}") from failed
        counters.PLUGINS.add(name)
        log.info("device plugin for %s is registered", name)

    async def _register(self, request: bytes) -> bytes:
        from pylet.agent.kubelet.devices.messages import RegisterRequest

        try:
            asked = wire.decode(RegisterRequest, request)
            if asked.version != _VERSION:
                words = f'requested API version "{asked.version}" is not supported by kubelet.'
                raise Refused(f'{words} Supported version is ["{_VERSION}"]')
            if not resources.is_extended(asked.resource_name):
                raise Refused(f'the ResourceName "{asked.resource_name}" is invalid')
            await self.connect(asked.resource_name, self.directory / asked.endpoint)
        except (Refused, wire.Malformed) as refused:
            log.warning("device plugin: %s", refused)
            raise served.Refused(str(refused)) from refused
        return b""
