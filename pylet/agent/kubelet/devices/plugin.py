"""One device plugin behind its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

from pylet.agent.kubelet.devices import messages as m
from pylet.cri.socket import ServiceSocket

_SERVICE = f"/{m.VERSION}.DevicePlugin"
_DIAL_SECONDS = 10.0
_ALLOCATE_SECONDS = 120.0
_PRE_START_SECONDS = 30.0


class Plugin:
    """Every call raises CallError."""

    def __init__(self, endpoint: Path) -> None:
        self._socket = ServiceSocket(str(endpoint))
        self.options = m.Options()

    async def connect(self) -> None:
        path = f"{_SERVICE}/GetDevicePluginOptions"
        self.options = await self._socket.call(path, m.Empty(), m.Options, seconds=_DIAL_SECONDS)

    def lists(self) -> AsyncIterator[m.DeviceList]:
        """Its devices, now and whenever they change; ends when the plugin does."""
        return self._socket.stream(f"{_SERVICE}/ListAndWatch", m.Empty(), m.DeviceList)

    async def preferred(self, preference: m.Preference) -> tuple[str, ...]:
        """What it would rather give; nothing where it does not care."""
        if not self.options.get_preferred_allocation_available:
            return ()
        request = m.PreferredRequest((preference,))
        path = f"{_SERVICE}/GetPreferredAllocation"
        answer = await self._socket.call(path, request, m.PreferredAnswer, seconds=_ALLOCATE_SECONDS)
        return answer.container_responses[0].ids if answer.container_responses else ()

    async def allocate(self, ids: Collection[str]) -> m.AllocateAnswer:
        request = m.AllocateRequest((m.DeviceIds(tuple(ids)),))
        return await self._socket.call(f"{_SERVICE}/Allocate", request, m.AllocateAnswer, seconds=_ALLOCATE_SECONDS)

    async def pre_start(self, ids: Collection[str]) -> None:
        if self.options.pre_start_required:
            path, request = f"{_SERVICE}/PreStartContainer", m.DeviceIds(tuple(ids))
            await self._socket.call(path, request, m.Empty, seconds=_PRE_START_SECONDS)

    async def close(self) -> None:
        await self._socket.close()
