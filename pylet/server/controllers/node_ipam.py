"""Node IPAM: give every node its own range of pod addresses out of the cluster's.

The range is free when no node has it; nodes are served in the order of their names, so a plan needs no memory.
Source: upstream `pkg/controller/nodeipam/ipam/range_allocator.go`.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime

from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key
from pylet.client.view import View
from pylet.server.reconcile.plan import NOTHING, Controller, Emit, Patch, Plan, Watch, itself

_NODE_PREFIX = {4: 24, 6: 64}


def controller(cluster_cidr: str) -> Controller:
    cluster = ipaddress.ip_network(cluster_cidr)
    prefix = max(cluster.prefixlen, _NODE_PREFIX[cluster.version])

    def plan(key: Key, view: View, now: datetime) -> Plan:
        node = view.get(NODE, key)
        if node is None or node["spec"].get("podCIDR"):
            return NOTHING
        taken = {entry.object["spec"].get("podCIDR") for entry in view.table(NODE).entries.values()}
        for candidate in cluster.subnets(new_prefix=prefix):
            if str(candidate) not in taken:
                cidr = str(candidate)
                return Plan((Patch(NODE, key, {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}),))
        words = f"Node {key.name} status is now: CIDRNotAvailable"
        return Plan((Emit(node, "CIDRNotAvailable", words),))

    return Controller("node-ipam", (Watch(NODE, itself),), plan)
