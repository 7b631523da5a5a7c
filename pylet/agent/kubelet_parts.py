"""A node's kubelet, put together: what runs pods and looks after the node."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pylet.agent.config import AgentConfig
from pylet.agent.kubelet import node_allocatable
from pylet.agent.kubelet.cgroups import SWAP_LIMIT, Cgroups
from pylet.agent.kubelet.claims.registration import PLUGIN_TYPE as DRA_PLUGIN
from pylet.agent.kubelet.claims.registration import Drivers
from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.counted import counted
from pylet.agent.kubelet.credentials import Keys, Provider, Token
from pylet.agent.kubelet.devices.registration import PLUGIN_TYPE as DEVICE_PLUGIN
from pylet.agent.kubelet.group_names import CGROUPFS, SYSTEMD, GroupNames
from pylet.agent.kubelet.images import Images
from pylet.agent.kubelet.kubelet_config import DEFAULT, KubeletConfig
from pylet.agent.kubelet.machine import Machine, pids_max, read_machine
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.node import NodeReporter
from pylet.agent.kubelet.node_status import Identity, reserved
from pylet.agent.kubelet.plugins import Handler, Plugins
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.pull_records import PullRecords
from pylet.agent.kubelet.resources import reserved_nanos
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.static_pods import StaticPods
from pylet.agent.kubelet.upkeep import Upkeep
from pylet.agent.kubelet.volumes.csi_registration import PLUGIN_TYPE, CsiRegistration
from pylet.agent.kubelet.volumes.image import ImageSource
from pylet.agent.kubelet.volumes.local_path import LocalPath
from pylet.agent.kubelet.volumes.mounter import Volumes
from pylet.agent.kubelet.workplace import Node
from pylet.agent.kubelet_serving import serve
from pylet.agent.network_parts import NetworkParts
from pylet.agent.site import Site, Unusable, insist
from pylet.aio import services
from pylet.aio.clock import Clock
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key
from pylet.api.quantity import NANOS
from pylet.client.interface import Client
from pylet.client.view import Table, View
from pylet.cri.features import CgroupDriver
from pylet.cri.grpc import GrpcRuntime
from pylet.cri.interface import CriError, Runtime

if TYPE_CHECKING:
    from pylet.agent.kubelet.placement.placing import Placement

log = logging.getLogger(__name__)

_MANIFESTS = Path("/etc/pylet/manifests")
_RETRY_SECONDS = 1.0


async def run_kubelet(site: Site, network: NetworkParts) -> None:
    """Until cancelled; pods start once the network is ready. Raises: Unusable."""
    config, api, tables, clock = site.config, site.api, site.tables, site.clock
    kubelet_dir = config.kubelet_root
    kubelet_dir.mkdir(parents=True, exist_ok=True)
    socket_path = config.container_runtime_endpoint.removeprefix("unix://")
    containerd = GrpcRuntime(socket_path)
    runtime = counted(containerd)
    identity = Identity(config.node_name, site.addresses, config.kubelet_port, config.node_label, config.node_taint)
    reporter = NodeReporter(api.client, runtime, clock, config.data_dir, lambda: identity)
    reporter.config = kubelet = _kubelet_config(site)
    try:
        machine = read_machine(config.data_dir)
        names = GroupNames(config.cgroup_root, kubelet.cgroup_driver)
        all_pids = pids_max() - reserved_nanos(kubelet.bounds, "pid") // NANOS
        _enforce(kubelet)
        cgroups = Cgroups(names, pids_limit=kubelet.pod_pids_limit, all_pids=all_pids)
        settings = _settings(site, kubelet, machine, cgroups)
        volumes = Volumes(kubelet_dir, api.client, api.tables, clock, ImageSource(runtime, socket_path))
        manifests, own_uid = kubelet.static_pod_path or _MANIFESTS, partial(_uid, tables[NODE], config.node_name)
        static = StaticPods(api.client, tables[POD], clock, manifests, config.node_name, own_uid)
        placement = _placement(kubelet_dir, kubelet, machine)
        provisions = Provisions(kubelet_dir / "device-plugins", runtime, clock, placement, reporter.tell)
        provisions.drivers = drivers = Drivers(api.client, config.node_name, clock)
        reporter.provisions = provisions
        records = PullRecords(kubelet_dir, kubelet.verification, clock)
        node = Node(
            client=static.client,
            runtime=runtime,
            volumes=volumes,
            images=Images(runtime, clock, records, at_once=kubelet.pulls_at_once),
            keys=Keys(kubelet_dir, _credential_providers(config, api.client, volumes.token, clock)),
            view=View({**tables, POD: static.table}),
            clock=clock,
            settings=settings,
            cgroups=cgroups,
            provisions=provisions,
            isolate=network.policies.isolate,
            network_problem=lambda: reporter.network_problem,
        )
        pods = Pods(node)
        static.runs, pods.ended, pods.left = pods.runs, static.ended, static.left
        volumes.host.tell = static.tell = node.recorder.tell
        meter = Meter(runtime, clock, node.pods, settings, machine, volumes.usage)
        upkeep = Upkeep(node, meter, kubelet, records.prune, reporter.tell)
        reporter.pressures, reporter.problem = upkeep.conditions, upkeep.problem
        reporter.volumes_in_use, reporter.tell_event = volumes.in_use, node.tell
        csi = CsiRegistration(volumes.host, api.client, api.tables, config.node_name)
        by_type: dict[str, Handler] = {PLUGIN_TYPE: csi, DEVICE_PLUGIN: provisions.registration, DRA_PLUGIN: drivers}
        plugins = Plugins(kubelet_dir / "plugins_registry", by_type, clock)
        async with asyncio.TaskGroup() as group:
            local_path = LocalPath(api.client, api.tables, config.node_name)
            for component in (node.recorder, volumes, drivers, plugins, csi, provisions, local_path):
                group.create_task(component.run())
            group.create_task(_report(reporter, csi, tables[NODE], clock))
            await network.ready.wait()
            group.create_task(_run_pods(pods, names, runtime, kubelet, clock))
            for run in (static.run, upkeep.run):
                group.create_task(run())
            group.create_task(serve(site, node, pods, volumes.census, meter, kubelet.said))
            services.notify("READY=1")
            log.info("node %s (%s) runs", config.node_name, " and ".join(site.addresses))
    finally:
        await containerd.close()


async def _report(reporter: NodeReporter, csi: CsiRegistration, nodes: Table, clock: Clock) -> None:
    """Tell of the node, and of its drivers once there is one to tell of."""
    await insist(reporter.register, clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(reporter.run(nodes))
        group.create_task(insist(csi.announce, clock))


async def _run_pods(pods: Pods, names: GroupNames, runtime: Runtime, kubelet: KubeletConfig, clock: Clock) -> None:
    names.driver = await _cgroup_driver(runtime, kubelet, clock)
    await pods.run()


def _settings(site: Site, kubelet: KubeletConfig, machine: Machine, cgroups: Cgroups) -> Settings:
    config, cluster = site.config, site.cluster
    of_containers = cgroups.of_containers(kills_one_process=kubelet.kills_one_process)
    return Settings(
        node_name=config.node_name,
        host_ips=site.addresses,
        root=config.kubelet_root,
        log_root=config.pod_log_dir,
        groups=cgroups.names,
        container_cgroup=of_containers,
        swap_bytes=machine.swap_bytes if kubelet.may_swap and SWAP_LIMIT in of_containers else 0,
        cluster_dns=cluster.cluster_dns,
        cluster_domain=cluster.cluster_domain,
        host_resolver=lambda: site.resolver.pods,
        cpus=machine.cpus,
        memory_bytes=machine.memory_bytes,
        huge_pages=tuple(machine.huge_pages),
        reserved_milli_cpus=reserved_nanos(kubelet.bounds, "cpu") // 1_000_000,
        reserved_bytes=reserved_nanos(kubelet.bounds, "memory") // 1_000_000_000,
        quota_period_micros=kubelet.quota_period_micros,
        log_bounds=kubelet.log_bounds,
        longest_back_off=kubelet.longest_back_off,
        unsafe_sysctls=kubelet.unsafe_sysctls,
        seccomp_default=kubelet.seccomp_default,
        ids_per_pod=kubelet.ids_per_pod,
        max_pods=kubelet.max_pods,
    )


async def _cgroup_driver(runtime: Runtime, kubelet: KubeletConfig, clock: Clock) -> str:
    """The runtime's, once it can be asked; that of the file where it does not say."""
    why = ""
    while True:
        try:
            told = await runtime.cgroup_driver()
            break
        except CriError as failed:
            if str(failed) != why:
                why = str(failed)
                log.warning("waiting for the container runtime (--container-runtime-endpoint): %s", why)
            await clock.sleep(_RETRY_SECONDS)
    if told is None:
        return kubelet.cgroup_driver
    return SYSTEMD if told is CgroupDriver.SYSTEMD else CGROUPFS


def _enforce(kubelet: KubeletConfig) -> None:
    """Raises: Unusable."""
    try:
        node_allocatable.enforce(kubelet.kept)
    except OSError as failed:
        raise Unusable(f"cannot enforce what is reserved on {failed.filename}: {failed.strerror}") from failed


def _uid(nodes: Table, name: str) -> str:
    entry = nodes.entries.get(Key("", name))
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


def _kubelet_config(site: Site) -> KubeletConfig:
    """Raises: Unusable."""
    config = site.config
    if config.kubelet_config is config.kubelet_config_dir is None:
        return DEFAULT
    from pylet.agent.kubelet.config_files import load

    try:
        return load(config.kubelet_config, config.kubelet_config_dir, site.kubelet_fields)
    except BadConfig as bad:
        raise Unusable(f"cannot be a kubelet by {bad}") from bad


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
