"""DRA drivers come and go; of one that has been away for half a minute, the node's ResourceSlices go too.

Source: upstream `pkg/kubelet/cm/dra/plugin/dra_plugin_manager.go`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pylet.agent.kubelet.claims.health import Health
from pylet.agent.kubelet.plugins import Refused
from pylet.aio.clock import Clock
from pylet.api.errors import ApiError, NotFound
from pylet.api.kinds.resourceslice import KIND as SLICE
from pylet.api.object import Object, key_of
from pylet.client.interface import Client

if TYPE_CHECKING:
    from pylet.cri.socket import ServiceSocket

log = logging.getLogger(__name__)

PLUGIN_TYPE = "DRAPlugin"
_SERVICES = ("v1.DRAPlugin", "v1beta1.DRAPlugin")
_PACKAGE = "k8s.io.kubelet.pkg.apis.dra"
_PATIENCE_SECONDS = 30.0
_RETRY_SECONDS = 1.0, 300.0


@dataclass(slots=True)
class Driver:
    """`service` is the path of its methods."""

    name: str
    endpoint: str
    socket: ServiceSocket
    service: str
    is_connected: bool = False
    following: tuple[asyncio.Task[None], ...] = ()


@dataclass(slots=True)
class Drivers:
    """A `plugins.Handler`; `run` until cancelled. Of drivers of one name, as while one is updated, the last counts."""

    client: Client
    node_name: str
    clock: Clock
    health: Health = field(init=False)
    _by_name: dict[str, list[Driver]] = field(default_factory=dict)
    _wiping: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _group: asyncio.TaskGroup | None = None

    def __post_init__(self) -> None:
        self.health = Health(self.clock)

    async def run(self) -> None:
        """What drivers offered to an earlier run is theirs to offer again."""
        async with asyncio.TaskGroup() as self._group:
            await self._wipe()
            await asyncio.Event().wait()

    def named(self, name: str) -> Driver | None:
        known = self._by_name.get(name) or ()
        return next((driver for driver in reversed(known) if driver.is_connected), known[-1] if known else None)

    async def register(self, name: str, endpoint: str, versions: tuple[str, ...]) -> None:
        """Raises: Refused."""
        service = next((each for each in versions if each in _SERVICES), None)
        if service is None:
            listed, ours = (" ".join(f'"{each}"' for each in names) for names in (versions, _SERVICES))
            why = f"none of services supported by the plugin ([{listed}]) are supported by the kubelet ([{ours}])"
            if not versions:
                why = "empty list of supported gRPC services (aka supported versions)"
            where = f"invalid supported gRPC versions of DRA driver plugin {name} at endpoint {endpoint}"
            raise Refused(f"RegisterPlugin error -- plugin validation failed with err: {where}: {why}")
        from pylet.cri.socket import ServiceSocket

        assert self._group is not None
        driver = Driver(name, endpoint, ServiceSocket(endpoint), f"/{_PACKAGE}.{service}")
        self._by_name.setdefault(name, []).append(driver)
        driver.following = (
            self._group.create_task(self._follow(driver), name=f"DRA driver {name}"),
            self._group.create_task(self.health.follow(name, driver.socket), name=f"health of {name}"),
        )

    async def deregister(self, name: str, endpoint: str) -> None:
        driver = next(driver for driver in self._by_name[name] if driver.endpoint == endpoint)
        self._by_name[name].remove(driver)
        for task in driver.following:
            task.cancel()
        await driver.socket.close()
        self._connection_changed(name)

    async def _follow(self, driver: Driver) -> None:
        async for is_connected in driver.socket.connections():
            driver.is_connected = is_connected
            self._connection_changed(driver.name)

    def _connection_changed(self, name: str) -> None:
        if any(driver.is_connected for driver in self._by_name[name]):
            if (wiping := self._wiping.pop(name, None)) is not None:
                wiping.cancel()
        elif name not in self._wiping:
            assert self._group is not None
            self._wiping[name] = self._group.create_task(self._wipe_later(name), name=f"slices of {name}")

    async def _wipe_later(self, name: str) -> None:
        await self.clock.sleep(_PATIENCE_SECONDS)
        await self._wipe(name)
        self._wiping.pop(name, None)

    async def _wipe(self, driver: str = "") -> None:
        """Delete the node's ResourceSlices, of one driver or of all, however long that takes."""
        delay, longest = _RETRY_SECONDS
        fields = f"spec.nodeName={self.node_name}" + (f",spec.driver={driver}" if driver else "")
        while True:
            try:
                for found in (await self.client.list(SLICE, fields=fields)).items:
                    await self._delete(found)
                return
            except ApiError as failed:
                log.warning("resource slices of %s: %s", driver or "drivers", failed.message)
            await self.clock.sleep(delay)
            delay = min(delay * 2, longest)

    async def _delete(self, found: Object) -> None:
        try:
            await self.client.delete(SLICE, key_of(found))
        except NotFound:
            return
