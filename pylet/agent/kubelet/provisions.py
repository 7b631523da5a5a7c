"""What pods are given of the node beyond a share of it: devices of plugins, CPUs of their own, a place near both.

All of it is asked here, and loaded when there is something to give: a node without device plugins, whose pods run
wherever the kernel puts them, has a socket for plugins to register at and nothing else. A pod is given everything when
it is admitted, one pod after the other.
Source: upstream `pkg/kubelet/cm/topologymanager/{scope,scope_container,scope_pod}.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pylet.agent.kubelet import counters, pod_resources
from pylet.agent.kubelet.devices.registration import Registration
from pylet.agent.kubelet.provided import CannotProvide, Extras
from pylet.agent.kubelet.spec import all_containers, has_claims
from pylet.aio.clock import Clock
from pylet.api import podresources
from pylet.api.object import Object, dig, uid_of
from pylet.api.quantity import NANOS
from pylet.cri.interface import Runtime
from pylet.cri.messages import LinuxResources

if TYPE_CHECKING:
    from pylet.agent.kubelet.claims.preparing import Claims
    from pylet.agent.kubelet.claims.registration import Drivers
    from pylet.agent.kubelet.devices.allocating import Devices
    from pylet.agent.kubelet.holdings import Holdings
    from pylet.agent.kubelet.placement.hints import Hint, Hints
    from pylet.agent.kubelet.placement.placing import Placement

log = logging.getLogger(__name__)

_CHECKPOINT = "kubelet_internal_checkpoint"
_TAKE_BACK_SECONDS = 60.0


@dataclass(slots=True)
class Provisions:
    """`run` until cancelled. Who gives pods their life sets `told` before, and `pods`.

    Devices are registered in `directory`; without a `placement` pods run anywhere.
    """

    directory: Path
    runtime: Runtime
    clock: Clock
    placement: Placement | None = None
    changed: Callable[[], None] = lambda: None
    """There is another number of devices for the Node's status."""
    pods: Callable[[], Collection[Object]] | None = None
    """Those that may hold something; None until they are known: what was written down of them is not given away."""
    told: Callable[[Collection[str]], None] = lambda _: None
    """Hears of pods the health of whose devices is another."""
    drivers: Drivers | None = None
    """Of devices that pods claim; where there are none, nothing is prepared for claims."""
    _loaded: Devices | None = None
    _claimed: Claims | None = None
    _group: asyncio.TaskGroup | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def registration(self) -> Registration:
        return Registration(self.directory, self._devices)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            if not self.is_new:
                self._devices()
            if self.placement is not None and self.placement.cpus is not None:
                from pylet.agent.kubelet.pinning import keep_pinned

                self._group.create_task(keep_pinned(self.runtime, self.clock, self.placement, self.active, self._moved))
            if self._claims_file.exists():
                self._group.create_task(self._take_back())
            listed = self.directory.with_name("pod-resources")
            self._group.create_task(pod_resources.serve(listed, self._known, self._holdings))
            await self.registration.run()

    def active(self) -> set[str]:
        """The uids of pods that may hold something."""
        return {uid_of(pod) for pod in self._known()}

    def _known(self) -> Collection[Object]:
        return self.pods() if self.pods is not None else ()

    @property
    def is_new(self) -> bool:
        """Whether nothing is known here of what the Node's status says of extended resources."""
        return not (self.directory / _CHECKPOINT).exists()

    # ---- a pod

    async def admit(self, pod: Object) -> tuple[str, str] | None:
        """Give the pod what it asks for; why not, where it cannot be given."""
        if self._loaded is None and self.placement is None:
            return None
        async with self._turn:
            self.release()
            begin = self.clock.monotonic()
            if self.placement is not None and self.placement.policy is not None:
                counters.ALIGNMENTS.add()
            try:
                return await self._admit(pod)
            except CannotProvide as failed:
                self.release(pod)
                return failed.refusal
            finally:
                counters.ALIGNMENT_MILLISECONDS.observe((self.clock.monotonic() - begin) * 1000)
                self._save()

    async def _admit(self, pod: Object) -> tuple[str, str] | None:
        policy = self.placement.policy if self.placement is not None else None
        is_whole = self.placement is not None and self.placement.scope == "pod"
        hint: Hint | None = None
        for index, container in enumerate(all_containers(pod)):
            if policy is not None and not (is_whole and index):
                hint, will_do = policy.agree(self._hints(pod, None if is_whole else container))
                if not will_do:
                    counters.ALIGNMENT_ERRORS.add()
                    self.release(pod)
                    return "TopologyAffinityError", "Resources cannot be allocated with Topology locality"
            if self._loaded is not None:
                await self._loaded.allocate(pod, container, hint.nodes if hint is not None else None)
            if self.placement is not None:
                self._place(self.placement, pod, container, hint)
        return None

    def _place(self, placement: Placement, pod: Object, container: Object, hint: Hint | None) -> None:
        """Raises: CannotProvide."""
        for pool in placement.pools:
            asked, refused = counters.PINNED["cpu" if pool is placement.cpus else "memory"]
            if pool.hints(pod, container):
                asked.add()
            try:
                pool.allocate(pod, container, hint)
            except CannotProvide:
                refused.add()
                raise

    def _hints(self, pod: Object, container: Object | None) -> Iterable[Hints]:
        """Of everybody that has something to give; None is the pod as a whole."""
        assert self.placement is not None
        if self._loaded is not None:
            every = self.placement.layout.numa_nodes
            loaded = self._loaded
            yield loaded.pod_hints(pod, every) if container is None else loaded.hints(pod, container, every)
        for pool in self.placement.pools:
            yield pool.pod_hints(pod) if container is None else pool.hints(pod, container)

    async def extras(self, pod: Object, container: Object) -> Extras:
        """What a container that is about to be made is made with. Raises: CannotProvide."""
        found = Extras()
        if self._loaded is not None:
            async with self._turn:
                found = await self._loaded.extras(pod, container)
        if self._claimed is not None:
            found = replace(found, cdi_devices=(*found.cdi_devices, *self._claimed.devices(pod, container)))
        if found.cdi_devices:
            found = await self._resolved(found)
        if self.placement is not None:
            uid, name = uid_of(pod), str(container["name"])
            own = self.placement.has_own_cpus(uid, name)
            cpus, memory = self.placement.cpus_of(uid, name), self.placement.memory_of(uid, name)
            found = replace(found, cpus=cpus, memory_nodes=memory, has_own_cpus=own)
        return found

    async def _resolved(self, extras: Extras) -> Extras:
        """With what named devices mean, where the runtime does not know. Raises: CannotProvide."""
        from pylet.agent.kubelet import cdi

        if cdi.looks_up(await self.runtime.version()):
            return extras
        nodes = self.directory.with_name("cdi-devices")
        return cdi.resolved(extras, await asyncio.to_thread(cdi.read, cdi.DIRECTORIES, nodes))

    def limits(self, pod: Object, limits: LinuxResources) -> LinuxResources:
        """Of the pod's group: who is alone on a CPU is not held back there."""
        has_own = self.placement is not None and self.placement.has_own_cpus(uid_of(pod))
        return replace(limits, cpu_quota=0) if has_own else limits

    @property
    def policies(self) -> Mapping[str, str]:
        """Those that give pods something for as long as they run, by resource."""
        return self.placement.policies if self.placement is not None else {}

    def health(self, pod: Object) -> Mapping[str, list[Object]]:
        """`allocatedResourcesStatus` by container."""
        found: dict[str, list[Object]] = {}
        for of in (
            self._loaded.ledger.health(uid_of(pod)) if self._loaded is not None else {},
            self._claimed.health(pod) if self._claimed is not None and has_claims(pod) else {},
        ):
            for container, devices in of.items():
                found.setdefault(container, []).extend(devices)
        return found

    def claims_in_use(self) -> Mapping[str, int]:
        """How many ResourceClaims pods have, by driver; "<any>" is all."""
        if self._claimed is None:
            return {}
        drivers = [name for held in self._claimed.held.values() for name in held.drivers]
        return {"<any>": len(self._claimed.held), **Counter(drivers)}

    def release(self, pod: Object | None = None) -> None:
        """Pods have ended, or this one has been refused: what they had is free."""
        if self.placement is not None and self.pods is not None:
            gone = {uid_of(pod)} if pod is not None else set()
            self.placement.keep(self.active() - gone)
            self._save()

    def _save(self) -> None:
        try:
            if self.placement is not None and self.placement.save():
                self._moved.set()
        except OSError as failed:
            log.warning("what CPUs pods have cannot be written down: %s", failed)

    # ---- claims

    async def prepare(self, pod: Object) -> None:
        """Have drivers prepare what the pod claims, before anything of it is made. Raises: CannotProvide."""
        if self.drivers is not None and has_claims(pod):
            await self._timed("PrepareResources", self._claims(self.drivers).prepare(pod))

    async def unprepare(self, pod_uid: str) -> None:
        """The pod has ended. Raises: CannotProvide."""
        if self._claimed is not None and self._claimed.has(pod_uid):
            await self._timed("UnprepareResources", self._claimed.unprepare(pod_uid))

    async def _timed(self, what: str, work: Awaitable[None]) -> None:
        begin, failed = self.clock.monotonic(), "true"
        try:
            await work
            failed = "false"
        finally:
            counters.CLAIMS.observe(self.clock.monotonic() - begin, what, failed)

    async def _take_back(self) -> None:
        """What was prepared for pods that ended while nobody looked."""
        if self.drivers is not None:
            claims = self._claims(self.drivers)
            while self.pods is None or not await claims.keep(self.active()):
                await self.clock.sleep(_TAKE_BACK_SECONDS)

    @property
    def _claims_file(self) -> Path:
        return self.directory.with_name("dra_manager_state")

    def _claims(self, drivers: Drivers) -> Claims:
        if self._claimed is None:
            from pylet.agent.kubelet.claims.preparing import Claims

            self._claimed = claims = Claims(self._claims_file, drivers)
            drivers.health.changed = lambda driver, places: self.told(claims.holders(driver, places))
        return self._claimed

    def _holdings(self) -> Holdings:
        from pylet.agent.kubelet.holdings import Holdings

        found = Holdings(self._devices().ledger, self.placement)
        return found if self._claimed is None else replace(found, claims=self._claimed.of)

    # ---- the Node

    def devices(self) -> Mapping[str, tuple[int, int]]:
        """Capacity and allocatable by resource."""
        return self._loaded.counts() if self._loaded is not None else {}

    def with_room(self, node: Object) -> Object:
        """The Node with at least as much allocatable as is given away: its status may know less, or not yet."""
        if self._loaded is None or not (used := self._loaded.ledger.amounts_in_use()):
            return node
        status = node.get("status") or {}
        room = podresources.amounts(status.get("allocatable"))
        short = {n: str(count) for n, count in used.items() if n not in room or room[n].nanos < count * NANOS}
        return {**node, "status": {**status, "allocatable": {**dig(status, "allocatable", default={}), **short}}}

    def _devices(self) -> Devices:
        if self._loaded is None:
            from pylet.agent.kubelet.devices.allocating import Devices

            assert self._group is not None
            self._loaded = Devices(self.directory, self.clock, self._group, self.active, self._tell)
        return self._loaded

    def _tell(self, pods: Collection[str]) -> None:
        self.told(pods)
        self.changed()
