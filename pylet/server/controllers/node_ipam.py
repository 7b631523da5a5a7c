"""Node IPAM: give every node its own ranges of pod addresses, one of each IP family, out of the cluster's.

A range is free when no node has any of it; nodes are served in the order of their names, so a plan needs no memory.
When the cluster is given a second family, nodes keep the ranges they have, and get one of that.
Source: upstream `pkg/controller/nodeipam/ipam/range_allocator.go`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeAlias

from pylet.aio.prometheus import Counter, gauges
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, key_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.nodes import standing
from pylet.server.reconcile.plan import Action, Controller, Emit, Patch, Plan, Synced, Watch

_OF_RANGE = ("clusterCIDR",)
_GIVEN = Counter("node_ipam_controller_cidrset_cidrs_allocations_total", "Ranges that nodes came by.", _OF_RANGE)
_FREED = Counter("node_ipam_controller_cidrset_cidrs_releases_total", "Ranges that nodes left.", _OF_RANGE)
_NODE_PREFIX = {4: 24, 6: 64}
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def controller(cluster_cidr: str) -> Controller:
    """`cluster_cidr` is one network or, separated by a comma, one of each IP family."""
    networks = [ipaddress.ip_network(cidr) for cidr in cluster_cidr.split(",")]

    def plan(key: Key, view: View, now: datetime) -> Plan:
        nodes = sorted(view.select(NODE), key=lambda node: str(node["metadata"]["name"]))
        taken = {_network(cidr) for node in nodes for cidr in _ranges(node)}
        free: dict[int, Iterator[str]] = {network.version: _free(network, taken) for network in networks}
        return Plan(tuple(_give(node, _wanted(node, free)) for node in nodes if _lacks(node, list(free))))

    held: dict[str, set[_Network]] = {str(network): set() for network in networks}

    def synced(done: Synced, view: View) -> None:
        taken = {_network(cidr) for node in view.select(NODE) for cidr in _ranges(node)}
        for network in networks:
            inside = {cidr for cidr in taken if cidr.version == network.version and cidr.overlaps(network)}
            before, held[str(network)] = held[str(network)], inside
            _GIVEN.raise_by(len(inside - before), str(network))
            _FREED.raise_by(len(before - inside), str(network))

    def metrics(view: View) -> Iterator[str]:
        yield from _GIVEN.lines()
        yield from _FREED.lines()
        most = {network: 1 << max(0, _NODE_PREFIX[network.version] - network.prefixlen) for network in networks}
        ranges = [({"clusterCIDR": str(network)}, number) for network, number in most.items()]
        yield from gauges("node_ipam_controller_cirdset_max_cidrs", "Ranges there are.", ranges)
        shares = [({"clusterCIDR": str(network)}, len(held[str(network)]) / most[network]) for network in networks]
        yield from gauges("node_ipam_controller_cidrset_usage_cidrs", "The share of them that nodes have.", shares)

    return Controller(
        "node-ipam",
        (Watch(NODE, _all_nodes, standing),),
        plan,
        speaker="cidrAllocator",
        synced=synced,
        metrics=metrics,
    )


def _ranges(node: Object) -> list[str]:
    spec = node["spec"]
    return spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])


def _network(cidr: str) -> _Network:
    """Of what is written as an address in it, too, which the API takes."""
    return ipaddress.ip_network(cidr, strict=False)


def _lacks(node: Object, families: list[int]) -> bool:
    """Whether it has fewer than all, and those in the cluster's order."""
    has = [_network(cidr).version for cidr in _ranges(node)]
    return len(has) < len(families) and has == families[: len(has)]


def _wanted(node: Object, free: dict[int, Iterator[str]]) -> list[str]:
    has = _ranges(node)
    return [*has, *(next(of, "") for of in list(free.values())[len(has) :])]


def _free(network: _Network, taken: set[_Network]) -> Iterator[str]:
    prefix = max(network.prefixlen, _NODE_PREFIX[network.version])
    others = [cidr for cidr in taken if cidr.prefixlen != prefix]
    for cidr in network.subnets(new_prefix=prefix):
        if cidr not in taken and not any(cidr.overlaps(other) for other in others):
            yield str(cidr)


def _give(node: Object, cidrs: list[str]) -> Action:
    if not all(cidrs):
        return Emit(node, "CIDRNotAvailable", f"Node {node['metadata']['name']} status is now: CIDRNotAvailable")
    return Patch(NODE, key_of(node), {"spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs}})


def _all_nodes(entry: Entry, view: View) -> Iterable[Key]:
    """All nodes are one key: two planned at the same time would be given the same range."""
    yield Key("", "")
