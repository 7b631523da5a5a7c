"""Topology mode Auto: for which zone each endpoint of a Service is, zones getting endpoints as they have CPUs. Pure.

Each endpoint is for its own zone; zones that have too many give some to those that have too few. Where a zone would be
overloaded by more than a fifth, or too little is known, there are no hints.
Source: staging/src/k8s.io/endpointslice/topologycache.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pylet.api.object import Object, annotations_of, dig, is_true, labels_of
from pylet.api.quantity import milli_of

ZONE = "topology.kubernetes.io/zone"
ENABLED = "Topology Aware Hints has been enabled"

_ANNOTATIONS = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
_EXCLUDED = {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}
_OVERLOAD = 0.2


class NoHints(Exception):
    """Why there are none, in the words of the event."""


def is_wanted(service: Object) -> bool:
    said = annotations_of(service)
    return next((said[name] for name in _ANNOTATIONS if name in said), "") in ("Auto", "auto")


def cpu_shares(nodes: Iterable[Object]) -> dict[str, float]:
    """What part of the CPUs of all ready nodes each zone has. Raises: NoHints."""
    cpus: Counter[str] = Counter()
    for node in nodes:
        if _EXCLUDED & labels_of(node).keys() or not is_true(node, "Ready"):
            continue
        zone, cpu = labels_of(node).get(ZONE), milli_of(dig(node, "status", "allocatable", "cpu", default="0"))
        if not zone or not cpu:
            cpus.clear()
            break
        cpus[zone] += cpu
    if len(cpus) < 2:
        raise NoHints("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes")
    return {zone: cpu / cpus.total() for zone, cpu in cpus.items()}


def zones_for(own_zones: Sequence[str], shares: Mapping[str, float]) -> list[str]:
    """For whom each of the ready endpoints is, given the zone that it is in. Raises: NoHints."""
    desired = _desired(len(own_zones), shares)
    if not all(own_zones):
        raise NoHints("One or more endpoints do not have a zone specified")
    has = Counter(own_zones)
    surplus = {zone: has[zone] - wanted for zone, wanted in desired.items()}
    giving: Counter[str] = Counter()
    receiving: list[str] = []
    while True:
        giver, taker = max(surplus, key=surplus.__getitem__), min(surplus, key=surplus.__getitem__)
        most, least = surplus[giver], -surplus[taker]
        if min(most, least) < 0.5 or max(most, least) < 1.0:
            break
        giving[giver] += 1
        receiving.append(taker)
        surplus[giver] -= 1
        surplus[taker] += 1
    found = []
    for zone in own_zones:
        if giving[zone] > 0:
            giving[zone] -= 1
            zone = receiving.pop(0)
        found.append(zone)
    return found


def _desired(count: int, shares: Mapping[str, float]) -> dict[str, float]:
    size = f"({count} endpoints, {len(shares)} zones)"
    if len(shares) > count:
        raise NoHints(f"Insufficient number of endpoints {size}")
    least = {zone: math.ceil(share * count / (1 + _OVERLOAD)) for zone, share in shares.items()}
    if sum(least.values()) > count:
        why = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
        raise NoHints(f"{why} {size}")
    return {zone: max(share * count, least[zone]) for zone, share in shares.items()}
