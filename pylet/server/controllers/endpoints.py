"""Endpoints: the older picture of what stands behind a Service, kept for clients that still read it.

Source: upstream `pkg/controller/endpoint/endpoints_controller.go` and `pkg/api/v1/endpoints` (subsets by equal ports).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from pylet.api.backends import family_of, hostname_under
from pylet.api.errors import AlreadyExists, ApiError, Conflict
from pylet.api.kinds.endpoints import KIND as ENDPOINTS
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, annotations_of, is_terminating, key_of, labels_of, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile import services
from pylet.server.reconcile.members import member
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Create, Delete, Emit, Plan, Update, Watch, itself

_MANAGED_BY = ("endpoints.kubernetes.io/managed-by", "endpoint-controller")
_HEADLESS = "service.kubernetes.io/headless"
_OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
_MOST = 1000


def controller() -> Controller:
    triggers = services.Triggers()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        return _plan(key, view, triggers)

    return Controller(
        "endpoint", (Watch(SERVICE, itself), Watch(POD, services.selecting), Watch(ENDPOINTS, itself)), plan
    )


def _plan(key: Key, view: View, triggers: services.Triggers) -> Plan:
    service, found = view.get(SERVICE, key), view.get(ENDPOINTS, key)
    if service is None or is_terminating(service):
        triggers.forget(key)
        ours = found is not None and labels_of(found).get(_MANAGED_BY[0]) == _MANAGED_BY[1]
        return Plan((Delete(ENDPOINTS, key, uid_of(found)),)) if found is not None and ours else NOTHING
    if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        return NOTHING
    labels = {**labels_of(service), _MANAGED_BY[0]: _MANAGED_BY[1]}
    labels.pop(_HEADLESS, None)
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    pods = services.selected(service, view)
    subsets, truncated = _subsets(service, pods)
    annotations = {**triggers.annotated(service, pods), **({_OVER_CAPACITY: "truncated"} if truncated else {})}
    if found is None:
        meta: Object = {"name": key.name, "namespace": key.namespace, "labels": labels, "annotations": annotations}
        made = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets}
        return Plan(
            (Create(ENDPOINTS, made, refused=partial(_refused, "Create", "create endpoint for service", made)),)
        )
    was_truncated = _OVER_CAPACITY in annotations_of(found)
    if (found.get("subsets") or []) == subsets and labels_of(found) == labels and was_truncated == truncated:
        return NOTHING
    ours_alone = (_OVER_CAPACITY, services.Triggers.ANNOTATION)
    others = {name: value for name, value in annotations_of(found).items() if name not in ours_alone}
    meta = {**found["metadata"], "labels": labels, "annotations": {**others, **annotations}}
    fresh = {**found, "metadata": meta, "subsets": subsets}
    return Plan((Update(ENDPOINTS, fresh, refused=partial(_refused, "Update", "update endpoint", fresh)),))


def _refused(verb: str, what: str, endpoints: Object, error: ApiError) -> tuple[Action, ...]:
    if isinstance(error, Conflict | AlreadyExists):
        return ()
    says = f"Failed to {what} {key_of(endpoints)}: {error.message}"
    return (Emit(endpoints, f"FailedTo{verb}Endpoint", says, "Warning"),)


def _subsets(service: Object, pods: Iterable[Entry]) -> tuple[list[Object], bool]:
    """Addresses grouped by the ports they have, in a stable order; and whether some were left out."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    family = (service["spec"].get("ipFamilies") or ["IPv4"])[0]
    groups: dict[tuple[tuple[tuple[str, object], ...], ...], dict[bool, list[Object]]] = {}
    for pod in sorted(pods, key=lambda pod: pod.key.name):
        one = member(pod)
        address = next((ip for ip in one.ips if family_of(ip) == family), None)
        if address is None or one.is_finished or (one.is_terminating and not publish):
            continue
        ready = publish or one.is_ready
        groups.setdefault(_ports(service, pod), {}).setdefault(ready, []).append(_address(service, pod, address))
    truncated = _truncate(list(groups.values()))
    subsets = []
    for ports, addresses in sorted(groups.items(), key=lambda group: str(group[0])):
        subset: Object = {}
        if addresses.get(True):
            subset["addresses"] = addresses[True]
        if addresses.get(False):
            subset["notReadyAddresses"] = addresses[False]
        subsets.append({**subset, "ports": [dict(port) for port in ports]} if ports else subset)
    return [subset for subset in subsets if len(subset) > bool(subset.get("ports"))], truncated


def _truncate(groups: list[dict[bool, list[Object]]]) -> bool:
    """Leave out what is too many, in place: first what isn't ready, and of each group its share."""
    totals = {ready: sum(len(group.get(ready, ())) for group in groups) for ready in (True, False)}
    if sum(totals.values()) <= _MOST:
        return False
    of_ready = totals[True] > _MOST
    room = left = _MOST if of_ready else _MOST - totals[True]
    for group in groups:
        kept = group.get(of_ready, [])[: min(left, math.ceil(len(group.get(of_ready, ())) / totals[of_ready] * room))]
        left -= len(kept)
        group[of_ready] = kept
        if of_ready:
            group[False] = []
    return True


def _address(service: Object, pod: Entry, ip: str) -> Object:
    one = member(pod)
    address: Object = {
        "ip": ip,
        "nodeName": one.node,
        "targetRef": {"kind": "Pod", "name": pod.key.name, "namespace": pod.key.namespace, "uid": pod.uid},
    }
    if hostname := hostname_under(service, one.hostname, one.subdomain):
        address["hostname"] = hostname
    return address


def _ports(service: Object, pod: Entry) -> tuple[tuple[tuple[str, object], ...], ...]:
    ports = []
    for port in service["spec"].get("ports") or ():
        target = services.port_of(port, pod)
        if target is not None:
            fields = {"port": target, "protocol": port.get("protocol", "TCP")}
            fields |= {name: port[name] for name in ("name", "appProtocol") if port.get(name)}
            ports.append(tuple(sorted(fields.items())))
    return tuple(ports)


CONTROLLER = controller()
