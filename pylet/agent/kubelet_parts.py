"""A node's kubelet, put together: what runs pods, looks after the node, and serves both."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pylet.agent.config import AgentConfig
from pylet.agent.join import SERVING_SIGNER, Renewal, request_certificate
from pylet.agent.kubelet.access import Access
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.claims.registration import PLUGIN_TYPE as DRA_PLUGIN
from pylet.agent.kubelet.claims.registration import Drivers
from pylet.agent.kubelet.counted import counted
from pylet.agent.kubelet.credentials import Keys, Provider, Token
from pylet.agent.kubelet.devices.registration import PLUGIN_TYPE as DEVICE_PLUGIN
from pylet.agent.kubelet.http import KubeletServer
from pylet.agent.kubelet.images import Images
from pylet.agent.kubelet.kubelet_config import DEFAULT, BadConfig, KubeletConfig, from_object
from pylet.agent.kubelet.machine import Machine, read_machine
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.node import NodeReporter
from pylet.agent.kubelet.node_status import Identity, reserved
from pylet.agent.kubelet.plugins import Handler, Plugins
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.pull_records import PullRecords
from pylet.agent.kubelet.resources import reserved_nanos
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import is_host_network
from pylet.agent.kubelet.static_pods import StaticPods
from pylet.agent.kubelet.upkeep import Upkeep
from pylet.agent.kubelet.volumes.csi_registration import PLUGIN_TYPE, CsiRegistration
from pylet.agent.kubelet.volumes.image import ImageSource
from pylet.agent.kubelet.volumes.local_path import LocalPath
from pylet.agent.kubelet.volumes.mounter import Volumes
from pylet.agent.network_parts import NetworkParts
from pylet.agent.site import Site, Unusable, insist
from pylet.agent.tunnels import Tunnels
from pylet.aio import certificate, services
from pylet.aio.clock import Clock
from pylet.api.hostports import serves_as_node
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig
from pylet.client.interface import Client
from pylet.client.view import Entry
from pylet.cri.grpc import GrpcRuntime
from pylet.cri.interface import Runtime

if TYPE_CHECKING:
    from pylet.agent.kubelet.placement.placing import Placement

log = logging.getLogger(__name__)

_MANIFESTS = Path("/etc/pylet/manifests")


async def run_kubelet(site: Site, network: NetworkParts) -> None:
    """Until cancelled; pods start once the network is ready. Raises: Unusable."""
    config, cluster, api, tables, clock = site.config, site.cluster, site.api, site.tables, site.clock
    kubelet_dir = config.kubelet_root
    kubelet_dir.mkdir(parents=True, exist_ok=True)
    socket_path = config.container_runtime_endpoint.removeprefix("unix://")
    containerd = GrpcRuntime(socket_path)
    runtime = counted(containerd)
    identity = Identity(config.node_name, site.addresses, config.kubelet_port, config.node_label, config.node_taint)
    reporter = NodeReporter(api.client, runtime, clock, config.data_dir, lambda: identity)
    reporter.config = kubelet = _kubelet_config(config.kubelet_config)
    try:
        machine = read_machine(config.data_dir)
        cgroups = Cgroups(config.cgroup_root, pids_limit=kubelet.pod_pids_limit)
        settings = Settings(
            node_name=config.node_name,
            host_ips=site.addresses,
            root=kubelet_dir,
            log_root=config.pod_log_dir,
            cgroup_root=config.cgroup_root,
            container_cgroup=cgroups.of_containers(),
            cluster_dns=cluster.cluster_dns,
            cluster_domain=cluster.cluster_domain,
            host_nameservers=site.nameservers,
            host_searches=site.searches,
            cpus=machine.cpus,
            memory_bytes=machine.memory_bytes,
            huge_pages=tuple(machine.huge_pages),
            reserved_milli_cpus=reserved_nanos(kubelet.reserved, "cpu") // 1_000_000,
            reserved_bytes=reserved_nanos(kubelet.reserved, "memory") // 1_000_000_000,
            log_max_bytes=kubelet.log_max_bytes,
            log_max_files=kubelet.log_max_files,
            longest_back_off=kubelet.longest_back_off,
            unsafe_sysctls=kubelet.unsafe_sysctls,
            seccomp_default=kubelet.seccomp_default,
            ids_per_pod=kubelet.ids_per_pod,
            max_pods=kubelet.max_pods,
        )
        volumes = Volumes(kubelet_dir, api.client, api.tables, clock, ImageSource(runtime, socket_path))
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
        provisions.drivers = drivers = Drivers(api.client, config.node_name, clock)
        reporter.provisions = provisions
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
            isolate=network.policies.isolate,
            network_problem=lambda: reporter.network_problem,
        )
        upkeep = Upkeep(
            api.client, runtime, pods, volumes.usage, clock, settings, machine, kubelet, records, reporter.tell
        )
        reporter.pressures, reporter.problem = upkeep.conditions, upkeep.problem
        reporter.volumes_in_use = volumes.in_use
        csi = CsiRegistration(volumes.host, api.client, api.tables, config.node_name)
        by_type: dict[str, Handler] = {PLUGIN_TYPE: csi, DEVICE_PLUGIN: provisions.registration, DRA_PLUGIN: drivers}
        plugins = Plugins(kubelet_dir / "plugins_registry", by_type, clock)

        async def report() -> None:
            await insist(reporter.register, clock)
            async with asyncio.TaskGroup() as group:
                group.create_task(reporter.run(tables[NODE]))
                group.create_task(insist(csi.announce, clock))

        async with asyncio.TaskGroup() as group:
            group.create_task(report())
            group.create_task(volumes.run())
            group.create_task(drivers.run())
            group.create_task(plugins.run())
            group.create_task(csi.run())
            group.create_task(provisions.run())
            group.create_task(LocalPath(api.client, api.tables, config.node_name).run())
            await network.ready.wait()
            group.create_task(pods.run())
            group.create_task(static.run())
            group.create_task(upkeep.run())
            group.create_task(_serve(site, runtime, pods, volumes, settings, upkeep.meter, kubelet.said))
            services.notify("READY=1")
            log.info("node %s (%s) runs", config.node_name, " and ".join(site.addresses))
    finally:
        await containerd.close()


async def _serve(
    site: Site,
    runtime: Runtime,
    pods: Pods,
    volumes: Volumes,
    settings: Settings,
    meter: Meter,
    said: Mapping[str, Any],
) -> None:
    """Get a serving certificate, then serve with it, anew with each renewed one."""
    config, api, credentials, clock = site.config, site.api, site.credentials, site.clock
    names = (config.node_name, *settings.host_ips)

    async def renew() -> None:
        if api.serving is not None:
            credentials.serving.write(*await api.serving(names))
            return
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

    if not (credentials.serving.exists() and all(map(certificate.read(credentials.serving.certificate).covers, names))):
        await insist(renew, clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(api.ca)

    async def load() -> None:
        context.load_cert_chain(credentials.serving.certificate, credentials.serving.key)

    await load()

    def configuration() -> Object:
        from pylet.agent.kubelet.configz import effective

        flags = {
            "address": config.bind_address or "0.0.0.0",
            "port": config.kubelet_port,
            "containerRuntimeEndpoint": config.container_runtime_endpoint,
            "resolvConf": str(config.resolv_conf),
        }
        return effective(settings, flags, said)

    server = KubeletServer(
        runtime=runtime,
        access=Access(api.client, clock, config.node_name),
        clock=clock,
        pods=pods.pods,
        configuration=configuration,
        meter=meter,
        probes=pods.probes_asked,
        doing=lambda: replace(pods.doing(), volumes=volumes.census()),
        lifetimes=lambda: {
            whose: (certificate.read(pair.certificate).end - clock.now()).total_seconds()
            for whose, pair in (("client", credentials.client), ("server", credentials.serving))
            if pair.exists()
        },
        address=config.bind_address,
        port=config.kubelet_port,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(Renewal(credentials.serving, clock, renew, load).run())
        if api.servers is not None:
            tunnels = Tunnels(
                api.servers,
                credentials.tls,
                lambda stream: server.take(stream, context),
                lambda address, port: any(_serves(pod, address, port, settings.host_ips) for pod in pods.pods()),
                clock,
            )
            group.create_task(tunnels.run())
        try:
            await server.run(context)
        except OSError as failed:
            why = os.strerror(failed.errno or 0)
            advice = "choose another --kubelet-port" if failed.errno == errno.EADDRINUSE else "check --bind-address"
            raise Unusable(f"cannot listen on port {config.kubelet_port}: {why}; {advice}") from failed


def _serves(pod: Object, address: str, port: int, own: tuple[str, ...]) -> bool:
    """Whether the pod has that address to itself; of this node's `own`, whether it says that it listens at the port."""
    if is_host_network(pod):
        return address in own and serves_as_node(pod, address, port)
    return address not in own and any(ip["ip"] == address for ip in dig(pod, "status", "podIPs", default=()))


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
