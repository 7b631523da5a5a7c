"""Node IPAM: give every node its own range of pod addresses out of the cluster's.

A range is free when no node has it; nodes are served in the order of their names, so a plan needs no memory.
Source: upstream `pkg/controller/nodeipam/ipam/range_allocator.go`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime

from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, key_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import Action, Controller, Emit, Patch, Plan, Watch

_NODE_PREFIX = {4: 24, 6: 64}


def controller(cluster_cidr: str) -> Controller:
    cluster = ipaddress.ip_network(cluster_cidr)
    prefix = max(cluster.prefixlen, _NODE_PREFIX[cluster.version])

    def plan(key: Key, view: View, now: datetime) -> Plan:
        nodes = sorted(view.select(NODE), key=lambda node: str(node["metadata"]["name"]))
        taken = {node["spec"].get("podCIDR") for node in nodes}
        free = (str(candidate) for candidate in cluster.subnets(new_prefix=prefix) if str(candidate) not in taken)
        return Plan(tuple(_give(node, next(free, None)) for node in nodes if not node["spec"].get("podCIDR")))

    return Controller("node-ipam", (Watch(NODE, _all_nodes),), plan)


def _give(node: Object, cidr: str | None) -> Action:
    if cidr is None:
        return Emit(node, "CIDRNotAvailable", f"Node {node['metadata']['name']} status is now: CIDRNotAvailable")
    return Patch(NODE, key_of(node), {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}})


def _all_nodes(entry: Entry, view: View) -> Iterable[Key]:
    """All nodes are one key: two planned at the same time would be given the same range."""
    yield Key("", "")
