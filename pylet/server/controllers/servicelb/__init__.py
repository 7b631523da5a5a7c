"""Load balancers of bare metal: a Service of type LoadBalancer is reached at the addresses of the nodes themselves.

Every ready node serves what `status.loadBalancer.ingress` says (`agent.proxy`), so all there is to do is to say it.
Nodes labelled `pylet.io/servicelb: "true"` serve alone where there are any; with `externalTrafficPolicy: Local` only
those with endpoints do. A port of the nodes belongs to the oldest Service that asks for it; others are told, and get it
when it is free.

Where the ConfigMap `kube-system/pylet-load-balancer` names a pool, Services get addresses of that instead, and one node
answers for each (`agent.network.announcing`). `loadBalancerClass` chooses: `pylet.io/nodes` or `pylet.io/pool`;
Services of other classes are somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from pylet.api.backends import SERVICE_NAME, family_of
from pylet.api.ingress import SERVES
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.loadbalancer import FROM_POOL, POOL, may_serve, nodes_with_endpoints
from pylet.api.object import (
    Key,
    Object,
    annotations_of,
    condition_of,
    dig,
    is_terminating,
    key_of,
    labels_of,
    seniority,
)
from pylet.api.timestamps import format_time
from pylet.client.view import Entry, View
from pylet.server.controllers.servicelb import pool as address_pool
from pylet.server.controllers.servicelb.pool import Pool
from pylet.server.reconcile.finalizers import with_finalizer, without_finalizer
from pylet.server.reconcile.nodes import standing
from pylet.server.reconcile.plan import NOTHING, Controller, Emit, Patch, Plan, Watch, itself, patch_status

NAME = "servicelb"
"""What `--disable` calls it."""
LABEL = "pylet.io/servicelb"
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
"""The finalizer of Services that somebody balances; k8s.io/cloud-provider, service/helpers."""
_PORT_CONFLICT = "pylet.io/PortConflict"
_BY_NODES, _BY_POOL = "pylet.io/nodes", "pylet.io/pool"
_REASONS = {
    (_PORT_CONFLICT, "True"): "PortInUse",
    (FROM_POOL, "True"): "Announced",
    (FROM_POOL, "False"): "NoAddress",
}
_FAMILIES = ("IPv4", "IPv6")
_INGRESS_PORTS = (80, 443)
_API = Key("default", "kubernetes")


class _Port(NamedTuple):
    """What nodes have once."""

    family: str
    protocol: str
    number: int


def controller(*, is_on: bool = True) -> Controller:
    watches = (
        Watch(SERVICE, _concerned),
        Watch(NODE, _all, standing),
        Watch(ENDPOINT_SLICE, _of_slice),
        Watch(CONFIG_MAP, _of_pool),
    )
    return Controller(NAME, watches, plan if is_on else leave)


def plan(key: Key, view: View, now: datetime) -> Plan:
    service = view.get(SERVICE, key)
    if service is None:
        return NOTHING
    if is_terminating(service) or not is_ours(service):
        return _abandoned(service)
    if _is_from(pool := _pool(view), service):
        found = address_pool.share(pool, sorted(_pooled(pool, view), key=seniority))[key]
        addresses, problem, reason = list(found.addresses), found.problem, "LoadBalancerAddress"
        conditions = [_condition(service, FROM_POOL, "False" if problem else "True", problem, now)]
    else:
        problem, reason = _conflict(service, pool, view), "LoadBalancerPortConflict"
        addresses = [] if problem else _addresses(service, view)
        conditions = [_condition(service, _PORT_CONFLICT, "True", problem, now)] if problem else []
    ingress = [{"ip": address, "ipMode": "VIP"} for address in addresses]
    status = {**service.get("status", {}), "loadBalancer": {"ingress": ingress} if ingress else {}}
    status["conditions"] = [*_others_conditions(service), *conditions]
    actions = patch_status(SERVICE, service, status)
    is_news = problem and (condition_of(service, conditions[0]["type"]) or {}).get("message") != problem
    warning = Emit(service, reason, problem, "Warning") if is_news else None
    told = (replace(action, told=warning) if isinstance(action, Patch) else action for action in actions)
    return Plan((*with_finalizer(SERVICE, service, CLEANUP), *told))


def leave(key: Key, view: View, now: datetime) -> Plan:
    """The plan of a cluster whose load balancers are somebody else's: what was given here is taken back."""
    service = view.get(SERVICE, key)
    if service is None or CLEANUP not in (service["metadata"].get("finalizers") or ()):
        return NOTHING
    given = {ingress.get("ip") for ingress in dig(service, "status", "loadBalancer", "ingress", default=()) or ()}
    nodes = {address["address"] for node in view.select(NODE) for address in dig(node, "status", "addresses") or ()}
    return _taken_back(service) if condition_of(service, FROM_POOL) or given & nodes else NOTHING


def is_ours(service: Object) -> bool:
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass", "") in ("", _BY_NODES, _BY_POOL)


def _abandoned(service: Object) -> Plan:
    """A Service that is no load balancer any more has no addresses of one."""
    is_others = service["spec"].get("type") == "LoadBalancer" and not is_ours(service)
    return NOTHING if is_others else _taken_back(service)


def _taken_back(service: Object) -> Plan:
    status = service.get("status") or {}
    if dig(status, "loadBalancer", "ingress"):
        status = {**status, "loadBalancer": {}, "conditions": _others_conditions(service)}
    return Plan((*without_finalizer(SERVICE, service, CLEANUP), *patch_status(SERVICE, service, status)))


# ---- ports


def _conflict(service: Object, pool: Pool, view: View) -> str:
    """Who has a port of this Service's already; "" when nobody."""
    taken: dict[_Port, str] = dict.fromkeys(_of_the_nodes(view), "the node itself")
    if any(annotations_of(node).get(SERVES) == "true" for node in view.select(NODE)):
        taken |= {_Port(family, "TCP", number): "Ingresses" for family in _FAMILIES for number in _INGRESS_PORTS}
    for other in sorted((one for one in _balanced(view) if not _is_from(pool, one)), key=seniority):
        ports = set(_ports(other))
        clashes = sorted(ports & taken.keys())
        if key_of(other) == key_of(service):
            return "; ".join(f"port {port.number}/{port.protocol} is in use by {taken[port]}" for port in clashes)
        if not clashes:
            taken |= dict.fromkeys(ports, f"Service {key_of(other)}")
    return ""


def _ports(service: Object) -> Iterator[_Port]:
    spec = service["spec"]
    for family in spec.get("ipFamilies") or ("IPv4",):
        for port in spec.get("ports") or ():
            yield _Port(family, port.get("protocol", "TCP"), port["port"])


def _of_the_nodes(view: View) -> Iterator[_Port]:
    """The ports of kubelets and of the API: a Service that took them would cut the cluster off from itself."""
    numbers = {dig(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port") for node in view.select(NODE)}
    api = view.get(ENDPOINT_SLICE, _API)
    numbers |= {port.get("port") for port in (api or {}).get("ports") or ()}
    for number in numbers - {None}:
        yield from (_Port(family, "TCP", number) for family in _FAMILIES)


def _condition(service: Object, type_: str, status: str, message: str, now: datetime) -> Object:
    before = condition_of(service, type_) or {}
    is_same = (before.get("status"), before.get("message", "")) == (status, message)
    return {
        "type": type_,
        "status": status,
        "reason": _REASONS[type_, status],
        "message": message,
        "lastTransitionTime": before["lastTransitionTime"] if is_same else format_time(now),
    }


def _others_conditions(service: Object) -> list[Object]:
    found = dig(service, "status", "conditions", default=()) or ()
    return [item for item in found if item["type"] not in (_PORT_CONFLICT, FROM_POOL)]


# ---- the pool


def _pool(view: View) -> Pool:
    config = view.get(CONFIG_MAP, POOL)
    return address_pool.parse((config or {}).get("data", {}).get("pool", ""))


def _is_from(pool: Pool, service: Object) -> bool:
    class_ = service["spec"].get("loadBalancerClass")
    return class_ == _BY_POOL or (not class_ and bool(pool.ranges))


def _pooled(pool: Pool, view: View) -> Iterator[Object]:
    return (one for one in _balanced(view) if _is_from(pool, one) and not is_terminating(one))


# ---- addresses


def _addresses(service: Object, view: View) -> list[str]:
    nodes = sorted(filter(may_serve, view.select(NODE)), key=lambda node: str(node["metadata"]["name"]))
    if chosen := [node for node in nodes if labels_of(node).get(LABEL) == "true"]:
        nodes = chosen
    key = key_of(service)
    if service["spec"].get("externalTrafficPolicy") == "Local":
        of_it = view.select(ENDPOINT_SLICE, key.namespace, lambda labels: labels.get(SERVICE_NAME) == key.name)
        with_endpoints = nodes_with_endpoints(of_it)
        nodes = [node for node in nodes if node["metadata"]["name"] in with_endpoints]
    return [
        address["address"]
        for family in service["spec"].get("ipFamilies") or ("IPv4",)
        for node in nodes
        for address in dig(node, "status", "addresses", default=()) or ()
        if address["type"] == "InternalIP" and family_of(address["address"]) == family
    ]


# ---- what concerns whom


def _balanced(view: View) -> Iterable[Object]:
    return (entry.object for entry in _balanced_entries(view) if is_ours(entry.object))


def _balanced_entries(view: View) -> Iterator[Entry]:
    # Few of many: the text is looked at before anything is decoded.
    return (entry for entry in view.table(SERVICE).entries.values() if b'"LoadBalancer"' in entry.raw)


def _concerned(entry: Entry, view: View) -> Iterable[Key]:
    """A Service's ports concern every other balanced one."""
    yield from itself(entry, view)
    if b'"LoadBalancer"' in entry.raw:
        yield from _all(entry, view)


def _all(entry: Entry, view: View) -> Iterable[Key]:
    return (balanced.key for balanced in _balanced_entries(view))


def _of_slice(entry: Entry, view: View) -> Iterable[Key]:
    service = view.table(SERVICE).entries.get(Key(entry.key.namespace, entry.labels.get(SERVICE_NAME, "")))
    if service is not None and b'"LoadBalancer"' in service.raw:
        yield service.key


def _of_pool(entry: Entry, view: View) -> Iterable[Key]:
    return _all(entry, view) if entry.key == POOL else ()
