"""The node's device plugins: what each offers, is written down; who asks for it, is given it by the plugin.

Source: upstream `pkg/kubelet/cm/devicemanager`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.devices import checkpoint
from pylet.agent.kubelet.devices.checkpoint import Corrupt
from pylet.agent.kubelet.devices.ledger import Ledger
from pylet.agent.kubelet.devices.messages import Given
from pylet.agent.kubelet.devices.nearness import device_hints
from pylet.agent.kubelet.devices.plugin import Plugin
from pylet.agent.kubelet.devices.selection import complete, select
from pylet.agent.kubelet.placement.hints import Hints
from pylet.agent.kubelet.provided import CannotProvide, Extras
from pylet.agent.kubelet.spec import init_containers
from pylet.aio import wholefile
from pylet.aio.clock import Clock
from pylet.api import podresources
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig, uid_of
from pylet.api.quantity import NANOS, value_of
from pylet.cri.messages import CDIDevice, Device, Mount
from pylet.cri.socket import CallError

log = logging.getLogger(__name__)


class Devices:
    """`active` are the uids of pods that may hold devices; `told` hears of pods whose devices fare otherwise.

    Pods are to be allocated for one after the other. `group` follows the plugins.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        group: asyncio.TaskGroup,
        active: Callable[[], Collection[str]],
        told: Callable[[Collection[str]], None],
    ) -> None:
        self._file = directory / checkpoint.FILE
        self._clock = clock
        self._group = group
        self._active = active
        self._told = told
        self._plugins: dict[str, Plugin] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._written = ""
        self.ledger = self._read()

    # ---- plugins

    async def connect(self, name: str, endpoint: Path) -> None:
        """A plugin has registered; one that offered the same before is followed no more. Raises: CallError."""
        plugin = Plugin(endpoint)
        try:
            await plugin.connect()
        except CallError:
            await plugin.close()
            raise
        if (before := self._following.get(name)) is not None:
            before.cancel()
        self._plugins[name] = plugin
        self.ledger.connected(name)
        self._following[name] = self._group.create_task(self._follow(name, plugin), name=f"device plugin {name}")

    def disconnect(self, name: str) -> None:
        if (following := self._following.get(name)) is not None:
            following.cancel()

    async def _follow(self, name: str, plugin: Plugin) -> None:
        try:
            async for listed in plugin.lists():
                self._told(self.ledger.listed(name, listed.devices))
                self._write()
            log.warning("device plugin for %s has ended", name)
        except CallError as lost:
            log.warning("device plugin for %s: %s", name, lost)
        except Exception:  # one plugin's trouble must not end the others
            log.exception("device plugin for %s", name)
        finally:
            if self._plugins.get(name) is plugin:
                self.ledger.disconnected(name, self._clock.monotonic())
                self._told(())
            await plugin.close()

    def counts(self) -> dict[str, tuple[int, int]]:
        """Capacity and allocatable by resource; of one whose plugin has been away for minutes nothing is left."""
        gone = self.ledger.forget_stopped(self._clock.monotonic())
        if gone:
            self._write()
        return {**dict.fromkeys(gone, (0, 0)), **self.ledger.counts()}

    # ---- containers

    def hints(self, pod: Object, container: Object, nodes: Collection[int]) -> Hints:
        """Near which of the machine's NUMA `nodes` the container could get what it asks for."""
        uid, asked = uid_of(pod), self._asked(pod, container)
        held = {name: grant.ids for name, grant in self.ledger.granted(uid, str(container["name"])).items()}
        reusable = {name: self.ledger.reusable(uid, name, _passing(pod)) for name in asked}
        return device_hints(self.ledger, asked, held, reusable, nodes)

    def pod_hints(self, pod: Object, nodes: Collection[int]) -> Hints:
        """The same of the pod as a whole."""
        limits = podresources.limits(pod)
        asked = {n: a.nanos // NANOS for n, a in limits.items() if self.ledger.is_known(n)}
        granted = self.ledger.grants.get(uid_of(pod), {}).values()
        held = {name: {i for grants in granted if name in grants for i in grants[name].ids} for name in asked}
        return device_hints(self.ledger, asked, held, {}, nodes)

    async def allocate(self, pod: Object, container: Object, affinity: frozenset[int] | None = None) -> None:
        """Give a container what it asks for, near the NUMA nodes of `affinity`. Raises: CannotProvide."""
        asked = self._asked(pod, container)
        if not asked:
            return
        self.ledger.keep(self._active())
        uid, name = uid_of(pod), str(container["name"])
        for resource, needed in asked.items():
            held = self.ledger.granted(uid, name).get(resource)
            if held is not None and len(held.ids) != needed:
                words = f'pod "{uid}" container "{name}" changed request for resource "{resource}"'
                raise CannotProvide(f"{words} from {len(held.ids)} to {needed}")
            free = self.ledger.free(resource, held)
            if held is None and needed:
                reusable = self.ledger.reusable(uid, resource, _passing(pod))
                ids, given = await self._allocated(resource, needed, free, reusable, affinity)
                self.ledger.grant(uid, name, resource, ids, given)
        self._write()

    async def _allocated(
        self,
        resource: str,
        needed: int,
        free: Collection[str],
        reusable: Collection[str],
        affinity: frozenset[int] | None,
    ) -> tuple[tuple[str, ...], Given]:
        plugin = self._plugins[resource]
        selection = select(resource, needed, self.ledger.resources[resource].devices, free, reusable, affinity)
        preferred: tuple[str, ...] = ()
        if selection.missing:
            try:
                preferred = await plugin.preferred(selection.preference)
            except CallError as failed:
                words = f"device plugin GetPreferredAllocation rpc failed with err: {failed}"
                raise CannotProvide(words) from failed
        ids = complete(selection, preferred)
        begin = self._clock.monotonic()
        try:
            answer = await plugin.allocate(ids)
            counters.ALLOCATIONS.observe(self._clock.monotonic() - begin, resource)
        except CallError as failed:
            raise CannotProvide(str(failed)) from failed
        if not answer.container_responses:
            raise CannotProvide(f"no containers return in allocation response {answer}")
        return ids, answer.container_responses[0]

    async def extras(self, pod: Object, container: Object) -> Extras:
        """What a container that is about to be made is made with; its plugins are told. Raises: CannotProvide."""
        asked = {resource: amount for resource, amount in self._asked(pod, container).items() if amount}
        if not asked:
            return Extras()
        uid, name = uid_of(pod), str(container["name"])
        if asked.keys() - self.ledger.granted(uid, name).keys():
            await self.allocate(pod, container)
        for resource in asked:
            await self._pre_start(resource, self.ledger.granted(uid, name)[resource].ids)
        return _merged([grant.given for _, grant in sorted(self.ledger.granted(uid, name).items())])

    async def _pre_start(self, resource: str, ids: Collection[str]) -> None:
        plugin = self._plugins.get(resource)
        if plugin is None or not plugin.options.pre_start_required:
            return
        if self.ledger.resources[resource].stopped_at is not None:
            raise CannotProvide(f"device plugin PreStartContainer rpc failed with err: endpoint {resource} is stopped")
        try:
            await plugin.pre_start(ids)
        except CallError as failed:
            raise CannotProvide(f"device plugin PreStartContainer rpc failed with err: {failed}") from failed

    def _asked(self, pod: Object, container: Object) -> dict[str, int]:
        """What it asks for of what plugins offer, but not what is claimed for it elsewhere."""
        claimed = {
            mapping.get("resourceName")
            for mapping in dig(pod, "status", "extendedResourceClaimStatus", "requestMappings", default=())
            if mapping.get("containerName") == container["name"]
        }
        limits = dig(container, "resources", "limits", default={})
        return {n: value_of(a) for n, a in limits.items() if n not in claimed and self.ledger.is_known(n)}

    # ---- the file

    def _read(self) -> Ledger:
        try:
            return checkpoint.from_text(self._file.read_text(), self._clock.monotonic())
        except FileNotFoundError:
            return Ledger()
        except (OSError, Corrupt) as failed:
            log.error("%s: %s; what devices pods have is not known", self._file, failed)
            return Ledger()

    def _write(self) -> None:
        text = checkpoint.to_text(self.ledger)
        if text == self._written:
            return
        try:
            wholefile.write(self._file, text.encode())
            self._written = text
        except OSError as failed:
            log.warning("%s: %s", self._file, failed)


def _passing(pod: Object) -> set[str]:
    """Containers whose devices others of their pod take over: they end before those start."""
    return {container["name"] for container in init_containers(pod) if not is_sidecar(container)}


def _merged(answers: list[Given]) -> Extras:
    """The first that sets something is the one that counts."""
    envs: dict[str, str] = {}
    annotations: dict[str, str] = {}
    mounts: dict[str, Mount] = {}
    devices: dict[str, Device] = {}
    cdi: dict[str, CDIDevice] = {}
    for given in reversed(answers):
        envs |= given.envs
        annotations |= given.annotations
        mounts |= {mount.container_path: mount for mount in reversed(given.mounts)}
        devices |= {device.container_path: device for device in reversed(given.devices)}
        cdi |= {device.name: device for device in given.cdi_devices}
    return Extras(envs, tuple(mounts.values()), tuple(devices.values()), annotations, tuple(cdi.values()))
