"""A node's part of the network, put together: each thing runs by itself, and they meet only in the API."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from pylet.agent.ingress.loop import Ingresses
from pylet.agent.network.announcing import Announcements
from pylet.agent.network.dns import Dns
from pylet.agent.network.loop import Network, NetworkSettings
from pylet.agent.network.rtnetlink import Rtnetlink
from pylet.agent.policy.loop import Policies
from pylet.agent.proxy.loop import Proxy, Sources
from pylet.agent.proxy.model import Here
from pylet.agent.proxy.rules import Layout
from pylet.agent.site import Site
from pylet.api.clusterdns import is_answered_by_nodes
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE


@dataclass(frozen=True, slots=True)
class NetworkParts:
    """`running` are to be run until cancelled; pods can be started once `ready` is set."""

    policies: Policies
    ready: asyncio.Event
    running: tuple[Coroutine[Any, Any, None], ...]


def network_parts(site: Site) -> NetworkParts:
    config, cluster, api, tables, clock = site.config, site.cluster, site.api, site.tables, site.clock
    node, services, slices = config.node_name, tables[SERVICE], tables[ENDPOINT_SLICE]
    policies = Policies(api.tables, clock, node=node)
    network = _network(site)
    ingresses = Ingresses(
        api.client, api.tables, api.custom, tables, clock, node=node, directory=config.data_dir / "agent" / "ingress"
    )
    dns = Dns(
        services,
        slices,
        clock,
        address=cluster.cluster_dns,
        domain=cluster.cluster_domain,
        host=site.resolver,
    )
    announcements = Announcements(services, slices, tables[NODE], clock, node=node, node_ips=site.addresses)
    running = (
        policies.run(),
        ingresses.run(),
        network.run(),
        _proxy(site).run(),
        dns.run(),
        dns.follow(api.tables),
        announcements.run(),
    )
    return NetworkParts(policies, network.ready, running)


def _network(site: Site) -> Network:
    config, cluster = site.config, site.cluster
    settings = NetworkSettings(
        node_name=config.node_name,
        node_ips=site.addresses,
        backend=cluster.network_backend,
        service_cidrs=cluster.service_cidrs,
        cni_bin_dir=config.cni_bin_dir,
        cni_conf_dir=config.cni_conf_dir,
        ipam_dir=config.data_dir / "agent" / "ipam",
        wireguard_dir=config.data_dir / "agent" / "wireguard",
    )
    return Network(site.tables[NODE], site.api.client, site.clock, settings)


def _proxy(site: Site) -> Proxy:
    config, cluster, tables = site.config, site.cluster, site.tables
    sources = Sources(services=tables[SERVICE], slices=tables[ENDPOINT_SLICE], nodes=tables[NODE], pods=tables[POD])
    here = Here(
        config.node_name,
        addresses=_node_port_addresses(config.nodeport_addresses, site.addresses),
        external_ips=config.allow_external_ips,
    )
    layout = Layout(
        cluster_cidrs=cluster.cluster_cidrs,
        service_cidrs=cluster.service_cidrs,
        masquerades_pods=cluster.network_backend != "none",
    )
    return Proxy(sources, site.clock, here=here, layout=layout, is_own=is_answered_by_nodes)


def _node_port_addresses(cidrs: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """The node's own addresses, or those of its addresses that are in these networks: never a loopback one."""
    if not cidrs:
        return own
    networks = [ip_network(cidr) for cidr in cidrs]
    with Rtnetlink() as kernel:
        found = {address.ip for address in kernel.addresses() if not address.ip.is_loopback}
    return tuple(sorted(str(ip) for ip in found if any(ip in network for network in networks)))
