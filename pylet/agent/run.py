"""The agent's composition root: from its configuration to a node, and back without touching what runs on it.

An agent of its own joins over HTTPS; one embedded in a server is given the server's loopback and trust. From there on
both are the same node. One that has joined starts without its server, from what it remembers (`pylet.agent.offline`):
nothing here waits for the server before pods run but what only the server can give.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pylet.agent import remembered
from pylet.agent.config import AgentConfig
from pylet.agent.ingress.loop import Ingresses
from pylet.agent.join import (
    CLIENT_SIGNER,
    SERVING_SIGNER,
    Credentials,
    JoinError,
    Renewal,
    join,
    request_certificate,
)
from pylet.agent.kubelet.access import Access
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.credentials import Keys, Provider, Token
from pylet.agent.kubelet.devices.registration import PLUGIN_TYPE as DEVICE_PLUGIN
from pylet.agent.kubelet.http import KubeletServer
from pylet.agent.kubelet.images import Images
from pylet.agent.kubelet.kubelet_config import DEFAULT, BadConfig, KubeletConfig, from_object
from pylet.agent.kubelet.machine import Machine, read_machine
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.node import NodeReporter
from pylet.agent.kubelet.node_status import Identity, reserved
from pylet.agent.kubelet.plugins import Plugins
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.pull_records import PullRecords
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.static_pods import StaticPods
from pylet.agent.kubelet.upkeep import Upkeep
from pylet.agent.kubelet.volumes.csi_registration import PLUGIN_TYPE, CsiRegistration
from pylet.agent.kubelet.volumes.image import ImageSource
from pylet.agent.kubelet.volumes.local_path import LocalPath
from pylet.agent.kubelet.volumes.mounter import Volumes
from pylet.agent.network.addresses import Moved, NoAddress, find, until_moved
from pylet.agent.network.announcing import Announcements
from pylet.agent.network.dns import Dns
from pylet.agent.network.loop import Network, NetworkSettings
from pylet.agent.network.rtnetlink import Rtnetlink
from pylet.agent.offline.client import RememberingClient
from pylet.agent.offline.endpoints import Corrections
from pylet.agent.offline.memory import DiskMemory
from pylet.agent.offline.vault import Vault
from pylet.agent.policy.loop import Policies
from pylet.agent.proxy.loop import Proxy, Sources
from pylet.agent.proxy.model import Here
from pylet.agent.proxy.rules import Layout
from pylet.agent.slim import SLIM
from pylet.agent.tunnels import Tunnels
from pylet.aio import services
from pylet.aio.clock import Clock, SystemClock
from pylet.aio.memory import keep_small
from pylet.api import clustersettings
from pylet.api.clustersettings import ClusterSettings
from pylet.api.errors import ApiError
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key
from pylet.client.http import HttpClient
from pylet.client.informer import Informers, Selection
from pylet.client.interface import Client, Tables, Unreachable
from pylet.client.servers import Servers, api_servers
from pylet.client.view import Entry
from pylet.cri.grpc import GrpcRuntime

if TYPE_CHECKING:
    from pylet.agent.kubelet.placement.placing import Placement

log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.5, 15.0)
_PATIENCE_SECONDS = 5.0  # with a server that does not answer, where its settings are remembered
_DNS_SERVICE = Key("kube-system", "kube-dns")
_MANIFESTS = Path("/etc/pylet/manifests")


class Unusable(Exception):
    """The agent cannot start as it is configured; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Api:
    """How this node reaches the API; `ca` is the file that says whose certificates to trust."""

    client: Client
    tables: Tables
    ca: Path
    reconnect: Callable[[], Awaitable[None]] | None = None
    """Give up connections from addresses this machine does not have any more."""
    servers: Servers | None = None
    """To keep tunnels to; None where the server is in this process."""
    custom: Tables | None = None
    """Tables of custom kinds; without these they are watched through the client."""


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
    servers = Servers(*config.server)
    async with HttpClient(servers, credentials.tls) as client, asyncio.TaskGroup() as group:
        vault = Vault(config.data_dir / "agent" / "offline", credentials.client.key)
        await asyncio.to_thread(vault.open)
        memory = DiskMemory(vault, clock)
        servers.learn(api_servers(memory.recall(Selection(ENDPOINT_SLICE)) or ()))
        group.create_task(memory.run())
        corrections, tables = Corrections(), Informers(client, group, memory, SLIM)
        remembering = RememberingClient(client, memory, corrections, clock)
        api = Api(remembering, tables, credentials.ca, client.renewed, servers, tables)

        async def follow_endpoints() -> None:
            slices = await tables.table(ENDPOINT_SLICE)
            corrections.correct(slices)
            servers.follow(slices)

        group.create_task(follow_endpoints())
        renewal = identity_renewal(client, config.node_name, credentials, clock, then=vault.rekey)
        group.create_task(renewal.run())
        group.create_task(keep_small(clock))
        cluster = await _cluster(client, config.data_dir, clock)
        try:
            clustersettings.insist(cluster, asdict(config))
        except clustersettings.Contradiction as contradiction:
            raise Unusable(str(contradiction)) from contradiction
        await run_node(config, cluster, api, credentials, clock)


def identity_renewal(
    client: HttpClient,
    node_name: str,
    credentials: Credentials,
    clock: Clock,
    *,
    then: Callable[[], None] = lambda: None,
) -> Renewal:
    """Keeps the certificate fresh that `client` proves itself with; `then` is called when there is another key."""

    async def renew() -> None:
        user = f"system:node:{node_name}"
        await request_certificate(client, CLIENT_SIGNER, credentials.client, user, "system:nodes", usage="client auth")

    async def renewed() -> None:
        then()
        await client.renewed()

    return Renewal(credentials.client, clock, renew, renewed)


async def run_node(
    config: AgentConfig, cluster: ClusterSettings, api: Api, credentials: Credentials, clock: Clock
) -> None:
    """Be a node until cancelled; what runs on it goes on running. Raises: Unusable.

    A machine whose addresses change, and were not chosen by a flag, begins again with the new ones.
    """
    config.data_dir.mkdir(parents=True, exist_ok=True)
    remembered.write(config.data_dir, cluster)
    while True:
        addresses = config.node_ip or own_addresses(config.server[0], cluster.families)
        for family in set(cluster.families) - {ip_address(address).version for address in addresses}:
            log.warning("this node has no IPv%d address for its pods' network: give --node-ip both", family)
        try:
            async with asyncio.TaskGroup() as group:
                if not config.node_ip:
                    group.create_task(until_moved(addresses, *_host(config.server[0]), clock))
                group.create_task(_run_node_at(addresses, config, cluster, api, credentials, clock))
        except* Moved:
            log.warning("this node is not at %s any more", " and ".join(addresses))
            if api.reconnect is not None:
                await api.reconnect()


async def _run_node_at(
    addresses: tuple[str, ...],
    config: AgentConfig,
    cluster: ClusterSettings,
    api: Api,
    credentials: Credentials,
    clock: Clock,
) -> None:
    nameservers, searches = _resolver(config.resolv_conf)
    kubelet_dir = config.kubelet_root
    kubelet_dir.mkdir(parents=True, exist_ok=True)
    socket_path = config.container_runtime_endpoint.removeprefix("unix://")
    runtime = GrpcRuntime(socket_path)
    identity = Identity(config.node_name, addresses, config.kubelet_port, config.node_label, config.node_taint)
    reporter = NodeReporter(api.client, runtime, clock, config.data_dir, lambda: identity)
    reporter.config = kubelet = _kubelet_config(config.kubelet_config)
    try:
        own, *shared = await asyncio.gather(
            api.tables.table(POD, fields=f"spec.nodeName={config.node_name}"),
            *(api.tables.table(kind) for kind in (SERVICE, ENDPOINT_SLICE, NODE)),
        )
        tables = {table.kind: table for table in (own, *shared)}
        machine = read_machine(config.data_dir)
        settings = Settings(
            node_name=config.node_name,
            host_ips=addresses,
            root=kubelet_dir,
            log_root=config.pod_log_dir,
            cgroup_root=config.cgroup_root,
            cluster_dns=cluster.cluster_dns,
            cluster_domain=cluster.cluster_domain,
            host_nameservers=nameservers,
            host_searches=searches,
            cpus=machine.cpus,
            memory_bytes=machine.memory_bytes,
            log_max_bytes=kubelet.log_max_bytes,
            log_max_files=kubelet.log_max_files,
            longest_back_off=kubelet.longest_back_off,
            unsafe_sysctls=kubelet.unsafe_sysctls,
            seccomp_default=kubelet.seccomp_default,
        )
        volumes = Volumes(kubelet_dir, api.client, api.tables, clock, ImageSource(runtime, socket_path))
        cgroups = Cgroups(config.cgroup_root, pids_limit=kubelet.pod_pids_limit)
        manifests = kubelet.static_pod_path or _MANIFESTS
        static = StaticPods(
            api.client,
            tables[POD],
            clock,
            manifests,
            config.node_name,
            lambda: _uid(tables[NODE].entries.get(Key("", config.node_name))),
        )
        local = {**tables, POD: static.table}
        placement = _placement(kubelet_dir, kubelet, machine)
        provisions = Provisions(kubelet_dir / "device-plugins", runtime, clock, placement, reporter.tell)
        reporter.provisions = provisions
        announcements = Announcements(
            tables[SERVICE],
            tables[ENDPOINT_SLICE],
            tables[NODE],
            clock,
            node=config.node_name,
            node_ips=addresses,
        )
        policies = Policies(api.tables, clock, node=config.node_name)
        records = PullRecords(kubelet_dir, kubelet.verification, clock)
        pods = Pods(
            static.client,
            runtime,
            volumes,
            local,
            clock,
            settings,
            provisions,
            cgroups,
            Images(runtime, clock, records, at_once=kubelet.pulls_at_once),
            Keys(kubelet_dir, _credential_providers(config, api.client, volumes.token, clock)),
            isolate=policies.isolate,
        )
        upkeep = Upkeep(
            api.client, runtime, pods, volumes.usage, clock, settings, machine, kubelet, records, reporter.tell
        )
        reporter.pressures, reporter.problem = upkeep.conditions, upkeep.problem
        reporter.volumes_in_use = volumes.in_use
        csi = CsiRegistration(volumes.host, api.client, config.node_name)
        plugins = Plugins(
            kubelet_dir / "plugins_registry", {PLUGIN_TYPE: csi, DEVICE_PLUGIN: provisions.registration}, clock
        )
        network = Network(
            tables[NODE],
            api.client,
            clock,
            NetworkSettings(
                node_name=config.node_name,
                node_ips=addresses,
                backend=cluster.network_backend,
                service_cidrs=cluster.service_cidrs,
                cni_bin_dir=config.cni_bin_dir,
                cni_conf_dir=config.cni_conf_dir,
                ipam_dir=config.data_dir / "agent" / "ipam",
                wireguard_dir=config.data_dir / "agent" / "wireguard",
            ),
        )
        layout = Layout(
            cluster_cidrs=cluster.cluster_cidrs,
            service_cidrs=cluster.service_cidrs,
            masquerades_pods=cluster.network_backend != "none",
        )
        proxy = Proxy(
            Sources(services=tables[SERVICE], slices=tables[ENDPOINT_SLICE], nodes=tables[NODE], pods=tables[POD]),
            clock,
            here=Here(
                config.node_name,
                addresses=_node_port_addresses(config.nodeport_addresses, addresses),
                external_ips=config.allow_external_ips,
            ),
            layout=layout,
            own=frozenset({_DNS_SERVICE}),
        )
        dns = Dns(
            tables[SERVICE],
            tables[ENDPOINT_SLICE],
            clock,
            address=cluster.cluster_dns,
            domain=cluster.cluster_domain,
            upstreams=nameservers,
        )

        async def report() -> None:
            await insist(reporter.register, clock)
            async with asyncio.TaskGroup() as group:
                group.create_task(reporter.run(tables[NODE]))
                group.create_task(insist(csi.announce, clock))

        ingresses = Ingresses(
            api.client,
            api.tables,
            tables[SERVICE],
            tables[ENDPOINT_SLICE],
            tables[NODE],
            clock,
            node=config.node_name,
            directory=config.data_dir / "agent" / "ingress",
            custom=api.custom,
        )
        async with asyncio.TaskGroup() as group:
            for component in (
                policies.run(),
                ingresses.run(),
                volumes.run(),
                network.run(),
                proxy.run(),
                dns.run(),
                dns.follow(api.tables),
                announcements.run(),
                report(),
            ):
                group.create_task(component)
            group.create_task(plugins.run())
            group.create_task(provisions.run())
            group.create_task(LocalPath(api.client, api.tables, config.node_name).run())
            await network.ready.wait()
            group.create_task(pods.run())
            group.create_task(static.run())
            group.create_task(upkeep.run())
            group.create_task(_serve_kubelet(config, api, credentials, clock, runtime, pods, settings, upkeep.meter))
            services.notify("READY=1")
            log.info("node %s (%s) runs", config.node_name, " and ".join(addresses))
    finally:
        await runtime.close()


async def _serve_kubelet(
    config: AgentConfig,
    api: Api,
    credentials: Credentials,
    clock: Clock,
    runtime: GrpcRuntime,
    pods: Pods,
    settings: Settings,
    meter: Meter,
) -> None:
    """Get a serving certificate, then serve with it, anew with each renewed one."""
    names = (config.node_name, *settings.host_ips)

    async def renew() -> None:
        user = f"system:node:{config.node_name}"
        await request_certificate(
            api.client,
            SERVING_SIGNER,
            credentials.serving,
            user,
            "system:nodes",
            usage="server auth",
            addresses=names,
        )

    if not credentials.serving.exists() or not credentials.serving.names() >= set(names):
        await insist(renew, clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(api.ca)

    async def load() -> None:
        context.load_cert_chain(credentials.serving.certificate, credentials.serving.key)

    await load()
    server = KubeletServer(
        runtime=runtime,
        access=Access(api.client, clock, config.node_name),
        clock=clock,
        pods=pods.pods,
        settings=settings,
        meter=meter,
        probes=pods.probes_asked,
        address=config.bind_address,
        port=config.kubelet_port,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(Renewal(credentials.serving, clock, renew, load).run())
        if api.servers is not None:
            tunnels = Tunnels(api.servers, credentials.tls, lambda stream: server.take(stream, context), clock)
            group.create_task(tunnels.run())
        try:
            await server.run(context)
        except OSError as failed:
            why = os.strerror(failed.errno or 0)
            advice = "choose another --kubelet-port" if failed.errno == errno.EADDRINUSE else "check --bind-address"
            raise Unusable(f"cannot listen on port {config.kubelet_port}: {why}; {advice}") from failed


def _uid(entry: Entry | None) -> str:
    return entry.uid if entry is not None else ""


def _placement(kubelet_dir: Path, kubelet: KubeletConfig, machine: Machine) -> Placement | None:
    """Raises: Unusable."""
    if kubelet.placement is None:
        return None
    from pylet.agent.kubelet.placement.placing import Inconsistent, Placement
    from pylet.agent.kubelet.placement.sysfs import read_layout

    try:
        return Placement(kubelet_dir, read_layout(), kubelet.placement, reserved(machine, kubelet))
    except (Inconsistent, OSError) as bad:
        raise Unusable(str(bad)) from bad


def _kubelet_config(path: Path | None) -> KubeletConfig:
    """Raises: Unusable."""
    if path is None:
        return DEFAULT
    import yaml

    try:
        return from_object(yaml.safe_load(path.read_text()) or {})
    except (OSError, yaml.YAMLError, BadConfig, AttributeError) as bad:
        raise Unusable(f"cannot be a kubelet by {path}: {bad}") from bad


def _credential_providers(config: AgentConfig, client: Client, token: Token, clock: Clock) -> list[Provider]:
    """Raises: Unusable."""
    path, binaries = config.image_credential_provider_config, config.image_credential_provider_bin_dir
    if path is None or binaries is None:
        return []
    from pylet.agent.kubelet import credential_providers

    try:
        return [*credential_providers.load(path, binaries, client, token, clock)]
    except (OSError, BadConfig) as bad:
        raise Unusable(f"failed to register CRI auth plugins: {bad}") from bad


async def _cluster(client: Client, data_dir: Path, clock: Clock) -> ClusterSettings:
    """What the cluster's members agree on: the server says it, or did so at an earlier start."""
    found: list[ClusterSettings] = []
    earlier = remembered.read(data_dir)

    async def ask() -> None:
        try:
            async with asyncio.timeout(None if earlier is None else _PATIENCE_SECONDS):
                answer = await client.get(CONFIG_MAP, clustersettings.KEY)
        except (Unreachable, TimeoutError):
            if earlier is None:
                raise
            found.append(earlier)
        else:
            found.append(clustersettings.from_data(answer.get("data") or {}))

    await insist(ask, clock)
    return found[0]


async def insist(attempt: Callable[[], Awaitable[object]], clock: Clock) -> None:
    """Try until the API answers; what it refuses for good is raised by the attempt itself."""
    delay, longest = _RETRY_SECONDS
    while True:
        try:
            await attempt()
            return
        except Unreachable as away:
            log.warning("%s; trying again in %.1f s", away.message, delay)
        except ApiError as refused:
            log.warning("the API refuses: %s; trying again in %.1f s", refused.message, delay)
        await clock.sleep(delay)
        delay = min(delay * 2, longest)


def own_addresses(server: str, families: Sequence[int]) -> tuple[str, ...]:
    """Where this machine reaches the server from; beside the server, where its default route is. Raises: Unusable."""
    try:
        return find(*_host(server), families)
    except NoAddress as failed:
        raise Unusable(str(failed)) from failed


def _host(server: str) -> tuple[str, int]:
    target = urlsplit(server)
    return target.hostname or "", target.port or 6443


def _node_port_addresses(cidrs: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """The node's own addresses, or those of its addresses that are in these networks: never a loopback one."""
    if not cidrs:
        return own
    networks = [ip_network(cidr) for cidr in cidrs]
    with Rtnetlink() as kernel:
        found = {address.ip for address in kernel.addresses() if not address.ip.is_loopback}
    return tuple(sorted(str(ip) for ip in found if any(ip in network for network in networks)))


def _resolver(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nameservers and search domains of a resolv.conf; none where it cannot be read."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError as failed:
        log.warning("%s: %s; names outside the cluster will not be found", path, failed)
        return (), ()
    nameservers = tuple(words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1)
    searches = next((tuple(words[1:]) for words in reversed(lines) if words[:1] == ["search"]), ())
    return nameservers, searches
