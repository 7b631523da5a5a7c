"""The agent's composition root: from its configuration to a node, and back without touching what runs on it.

An agent of its own joins over HTTPS; one embedded in a server is given the server's loopback and trust. From there on
both are the same node. One that has joined starts without its server, from what it remembers (`pylet.agent.offline`):
nothing here waits for the server before pods run but what only the server can give.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pylet.agent import remembered
from pylet.agent.config import AgentConfig
from pylet.agent.join import (
    CLIENT_SIGNER,
    Credentials,
    JoinError,
    Renewal,
    enter,
    join,
    request_certificate,
)
from pylet.agent.kubelet import counters
from pylet.agent.kubelet_parts import run_kubelet
from pylet.agent.network.addresses import Moved, NoAddress, find, until_moved
from pylet.agent.network_parts import network_parts
from pylet.agent.offline.client import RememberingClient
from pylet.agent.offline.endpoints import Corrections
from pylet.agent.offline.memory import DiskMemory
from pylet.agent.offline.vault import Vault
from pylet.agent.resolv_conf import HostResolver
from pylet.agent.site import Api, Site, Unusable, insist
from pylet.agent.slim import slim
from pylet.aio import folderlock, services, timeset
from pylet.aio.clock import Clock, SystemClock
from pylet.aio.memory import keep_small
from pylet.api import clustersettings
from pylet.api.clustersettings import ClusterSettings
from pylet.api.errors import Forbidden, Unauthorized
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.client.http import HttpClient
from pylet.client.informer import Informers, Selection
from pylet.client.interface import Client, Unreachable
from pylet.client.servers import Servers, api_servers, spread
from pylet.client.view import age

log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.5, 15.0)
_PATIENCE_SECONDS = 5.0  # with a server that does not answer, where its settings are remembered
_MANIFESTS = Path("/etc/pylet/manifests")


def main(config: AgentConfig) -> None:
    """Run until SIGTERM or SIGINT; exits with 2 and one line where the agent cannot join."""
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname).1s %(name)s: %(message)s", stream=sys.stderr
    )
    problems: list[Unusable | JoinError] = []
    try:
        services.run(lambda: services.until_signalled(_hollow(config) if config.hollow else serve(config)))
    except* (Unusable, JoinError) as group:
        problems = list(services.leaves(group))  # what is raised in here would leave as a group
    for problem in problems:
        print(f"pylet agent: {problem}", file=sys.stderr)
    if problems:
        raise SystemExit(2)


def _hollow(config: AgentConfig) -> Coroutine[Any, Any, None]:
    from pylet.agent import hollow

    return hollow.serve(config)


async def serve(config: AgentConfig) -> None:
    """A node of its own: join, then be one until cancelled. Raises: JoinError, Unusable."""
    credentials = Credentials(config.data_dir / "agent")
    clock = SystemClock()
    await insist(lambda: join(config.server, config.token, {config.node_name: credentials}), clock)
    credentials.write_kubeconfig(config.server[0])
    servers = Servers(*spread(config.server, config.node_name))
    async with HttpClient(servers, credentials.tls) as client, asyncio.TaskGroup() as group:
        vault = Vault(config.data_dir / "agent" / "offline", credentials.client.key)
        await asyncio.to_thread(vault.open)
        memory = DiskMemory(vault, clock)
        servers.learn(api_servers(memory.recall(Selection(ENDPOINT_SLICE)) or ()))
        group.create_task(memory.run())
        corrections, tables = Corrections(), Informers(client, group, memory, slim(config.node_name))
        remembering = RememberingClient(client, memory, corrections, clock)
        api = Api(remembering, tables, credentials.ca, client.renewed, servers, tables)

        async def follow_endpoints() -> None:
            slices = await tables.table(ENDPOINT_SLICE)
            corrections.correct(slices)
            servers.follow(slices)

        group.create_task(follow_endpoints())
        renewal = identity_renewal(client, config, {config.node_name: credentials}, clock, then=vault.rekey)
        group.create_task(renewal.run())
        group.create_task(keep_small(clock, age))
        cluster = await _cluster(client, config.data_dir, clock)
        try:
            clustersettings.insist(cluster, asdict(config))
        except clustersettings.Contradiction as contradiction:
            raise Unusable(str(contradiction)) from contradiction
        await run_node(config, cluster, api, credentials, clock)


def identity_renewal(
    client: HttpClient,
    config: AgentConfig,
    node: Mapping[str, Credentials],
    clock: Clock,
    *,
    then: Callable[[], None] = lambda: None,
) -> Renewal:
    """Keeps the certificate fresh that `client` proves itself with as that one `node`; `then` is called when there is
    another key. One that was away until its certificate was over, and is not known any more, joins again."""
    [(name, credentials)] = node.items()

    async def renew() -> None:
        own, user = credentials.client, f"system:node:{name}"
        try:
            await request_certificate(client, CLIENT_SIGNER, own, user, "system:nodes", usage="client auth")
        except Unauthorized as refused:
            log.warning("the API refuses this node's certificate: %s; joining again", refused.message)
            await enter(config.server, config.token, node)

    async def renewed() -> None:
        then()
        await client.renewed()

    return Renewal(credentials.client, clock, renew, renewed, counters.CLIENT_RENEWAL_ERRORS)


async def run_node(
    config: AgentConfig, cluster: ClusterSettings, api: Api, credentials: Credentials, clock: Clock
) -> None:
    """Be a node until cancelled; what runs on it goes on running. Raises: Unusable.

    A machine whose addresses change, and were not chosen by a flag, begins again with the new ones; so it does when its
    time of day is set, because what waits here waits for dates.
    """
    folder = config.data_dir / "agent"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with folderlock.hold(folder):
            await _run_node(config, cluster, api, credentials, clock)
    except folderlock.Held as other:
        raise Unusable(f"{other}: stop that one, or choose another --data-dir") from other


async def _run_node(
    config: AgentConfig, cluster: ClusterSettings, api: Api, credentials: Credentials, clock: Clock
) -> None:
    remembered.write(config.data_dir, cluster)
    while True:
        addresses = config.node_ip or own_addresses(config.server[0], cluster.families)
        for family in set(cluster.families) - {ip_address(address).version for address in addresses}:
            log.warning("this node has no IPv%d address for its pods' network: give --node-ip both", family)
        try:
            async with asyncio.TaskGroup() as group:
                if not config.node_ip:
                    group.create_task(until_moved(addresses, *_host(config.server[0]), clock))
                group.create_task(_until_time_set(clock))
                group.create_task(_run_node_at(addresses, config, cluster, api, credentials, clock))
        except* _TimeSet as group_of_one:
            log.warning("the time of day was set by %s s: this node begins again", group_of_one.exceptions[0])
        except* Moved:
            log.warning("this node is not at %s any more", " and ".join(addresses))
            if api.reconnect is not None:
                await api.reconnect()


class _TimeSet(Exception):
    """The time of day was set; the message says by how much."""


async def _until_time_set(clock: Clock) -> None:
    """Raises: _TimeSet, then."""
    moved = await timeset.sleep(clock)
    raise _TimeSet(f"{moved.total_seconds():+.0f}")


async def _run_node_at(
    addresses: tuple[str, ...],
    config: AgentConfig,
    cluster: ClusterSettings,
    api: Api,
    credentials: Credentials,
    clock: Clock,
) -> None:
    found = await asyncio.gather(
        api.tables.table(POD, fields=f"spec.nodeName={config.node_name}"),
        *(api.tables.table(kind) for kind in (SERVICE, ENDPOINT_SLICE, NODE)),
    )
    tables = {table.kind: table for table in found}
    resolver = HostResolver(config.resolv_conf, clock)
    site = Site(config, cluster, api, credentials, clock, addresses, resolver, tables)
    network = network_parts(site)
    async with asyncio.TaskGroup() as group:
        group.create_task(resolver.run())
        for running in network.running:
            group.create_task(running)
        group.create_task(run_kubelet(site, network))


async def _cluster(client: Client, data_dir: Path, clock: Clock) -> ClusterSettings:
    """What the cluster's members agree on: the server says it, or did so at an earlier start."""
    found: list[ClusterSettings] = []
    earlier = remembered.read(data_dir)

    async def ask() -> None:
        try:
            async with asyncio.timeout(None if earlier is None else _PATIENCE_SECONDS):
                answer = await client.get(CONFIG_MAP, clustersettings.KEY)
        except (Unreachable, TimeoutError, Unauthorized, Forbidden):  # the last two: its certificate is over
            if earlier is None:
                raise
            found.append(earlier)
        else:
            found.append(clustersettings.from_data(answer.get("data") or {}))

    await insist(ask, clock)
    return found[0]


def own_addresses(server: str, families: Sequence[int]) -> tuple[str, ...]:
    """Where this machine reaches the server from; beside the server, where its default route is. Raises: Unusable."""
    try:
        return find(*_host(server), families)
    except NoAddress as failed:
        raise Unusable(str(failed)) from failed


def _host(server: str) -> tuple[str, int]:
    target = urlsplit(server)
    return target.hostname or "", target.port or 6443
