"""Nodes that run nothing, many in one process: what a server has to bear, without the machines.

A hollow node is a node to everybody outside: it joins, has an identity of its own and its own connection, runs the real
kubelet. Only what its pods would run on is records in memory: no containers, mounts, cgroups, network, proxy, DNS, and
nothing listens on the kubelet's port. All have the address and the size of the machine they are on.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pylet.agent.config import AgentConfig
from pylet.agent.join import Credentials, join
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.credentials import Keys
from pylet.agent.kubelet.images import Images
from pylet.agent.kubelet.logrotation import LogBounds
from pylet.agent.kubelet.machine import read_machine
from pylet.agent.kubelet.node import NodeReporter
from pylet.agent.kubelet.node_status import Identity
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.agent.kubelet.workplace import Node
from pylet.agent.run import identity_renewal, own_addresses
from pylet.agent.site import insist
from pylet.aio import services
from pylet.aio.clock import Clock, SystemClock
from pylet.aio.memory import keep_small
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Object
from pylet.client.http import HttpClient
from pylet.client.informer import Informers
from pylet.client.interface import Client
from pylet.client.servers import Servers, spread
from pylet.client.view import Table, View, age
from pylet.cri.memory import MemoryRuntime

log = logging.getLogger(__name__)

_APART_SECONDS = 0.02  # nodes start one after another, so that their leases are not all renewed at once
_NO_CGROUPS = Cgroups(mounted=Path("/nonexistent"))
_NO_LOGS = LogBounds(most_bytes=-1)


class NoVolumes:
    """Every volume is there and holds nothing; `root` is where the kubelet keeps its own files of pods."""

    def __init__(self, root: Path) -> None:
        self._pods = root / "pods"
        self.wake: Callable[[str], None] = lambda uid: None

    async def mount(self, pod: Object, images: Collection[str] = ()) -> Mapping[str, Path]:
        return {}

    def follow(self, pod: Object) -> None:
        return

    def adopt(self, pod: Object) -> None:
        return

    def freeze(self, pod_uid: str) -> None:
        return

    async def bind(
        self, pod: Object, container: Object, environment: Mapping[str, str], *, recursive_read_only: bool
    ) -> Bindings:
        return Bindings()

    async def release(self, pod_uid: str) -> None:
        return

    async def unmount(self, pod_uid: str) -> None:
        shutil.rmtree(self._pods / pod_uid, ignore_errors=True)

    def clean_up(self, alive: set[str]) -> None:
        for left in self._pods.iterdir() if self._pods.exists() else ():
            if left.name not in alive:
                shutil.rmtree(left, ignore_errors=True)


async def serve(config: AgentConfig) -> None:
    """Join as `config.hollow` nodes, then be them until cancelled. Raises: JoinError, Unusable."""
    clock = SystemClock()
    homes = {f"{config.node_name}-{i}": config.data_dir / "hollow" / str(i) for i in range(config.hollow)}
    credentials = {name: Credentials(home / "agent") for name, home in homes.items()}
    await insist(lambda: join(config.server, config.token, credentials), clock)
    address = (config.node_ip or own_addresses(config.server[0], (4,)))[0]
    async with asyncio.TaskGroup() as group:
        shared: dict[Kind, Table] = {}
        for index, (name, home) in enumerate(homes.items()):
            client = HttpClient(Servers(*spread(config.server, name)), credentials[name].tls)
            if not shared:  # what is the same for all of them is watched and kept once
                tables = Informers(client, group)
                shared = {kind: await tables.table(kind) for kind in (SERVICE, NODE)}
            group.create_task(identity_renewal(client, config, {name: credentials[name]}, clock).run())
            identity = Identity(name, (address,), 0, config.node_label, config.node_taint)
            group.create_task(_be_node(index, identity, home, client, shared, clock))
            await clock.sleep(_APART_SECONDS)
        group.create_task(keep_small(clock, age))
        services.notify("READY=1")
        log.info("%d hollow nodes run", len(homes))


async def _be_node(
    index: int, identity: Identity, home: Path, client: HttpClient, shared: Mapping[Kind, Table], clock: Clock
) -> None:
    async with client, asyncio.TaskGroup() as group:
        runtime = MemoryRuntime(address=f"10.{index >> 8 | 128}.{index & 255}.{{1}}")
        reporter = NodeReporter(client, runtime, clock, home, lambda: identity)
        await insist(reporter.register, clock)
        own = await Informers(client, group).table(POD, fields=f"spec.nodeName={identity.name}")
        node = _node(identity, home, client, runtime, {**shared, POD: own}, clock)
        for component in (node.recorder, Pods(node)):
            group.create_task(component.run())
        group.create_task(reporter.run(shared[NODE]))


def _node(
    identity: Identity,
    home: Path,
    client: Client,
    runtime: MemoryRuntime,
    tables: Mapping[Kind, Table],
    clock: Clock,
) -> Node:
    root, machine = home / "kubelet", read_machine(home)
    settings = Settings(
        node_name=identity.name,
        host_ips=identity.addresses,
        root=root,
        log_root=home / "log",
        log_bounds=_NO_LOGS,
        cpus=machine.cpus,
        memory_bytes=machine.memory_bytes,
    )
    return Node(
        client=client,
        runtime=runtime,
        volumes=NoVolumes(root),
        images=Images(runtime, clock),
        keys=Keys(root),
        view=View(tables),
        clock=clock,
        settings=settings,
        cgroups=_NO_CGROUPS,
        provisions=Provisions(root, runtime, clock),
    )
