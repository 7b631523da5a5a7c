"""IPAddresses of Services: every cluster IP has one that names its Service, and goes with it.

The allocator asks the Services themselves (registry.networks), so this only shows what they have; it is its own repair.
Keys are addresses; those of `_LOST` were shown, and somebody has deleted them.
Source: upstream `pkg/registry/core/service/ipallocator/{ipallocator.go,controller/repairip.go}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from pylet.api.backends import family_of
from pylet.api.kinds.ipaddress import ALLOCATOR, FAMILY_LABEL, MANAGED_LABEL, is_managed
from pylet.api.kinds.ipaddress import KIND as IP_ADDRESS
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, is_terminating, labels_of, uid_of
from pylet.api.timestamps import parse
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Create, Delete, Emit, Plan, Watch

_LOST = "lost"
_NEW = timedelta(seconds=10)


def plan(key: Key, view: View, now: datetime) -> Plan:
    is_lost, key = key.namespace == _LOST, Key("", key.name)
    found = view.get(IP_ADDRESS, key)
    if found is not None and not is_managed(labels_of(found)):
        return NOTHING
    service = _service_with(key.name, view)
    if found is None:
        if service is None:
            return NOTHING
        says = f"Cluster IP [{family_of(key.name)}]: {key.name} is not allocated; repairing"
        is_new = now - parse(service["metadata"]["creationTimestamp"]) < _NEW  # has it from one that is gone
        told = (Emit(service, "ClusterIPNotAllocated", says, "Warning"),) if is_lost and not is_new else ()
        return Plan((*told, Create(IP_ADDRESS, _made(key.name, service))))
    if is_terminating(found) or (service is not None and found["spec"].get("parentRef") == _reference(service)):
        return NOTHING
    gone: tuple[Action, ...] = (Delete(IP_ADDRESS, key, uid_of(found)),)
    return Plan(gone if service is None else (*gone, Create(IP_ADDRESS, _made(key.name, service))))


def _service_with(ip: str, view: View) -> Object | None:
    first = next(iter(view.with_field(SERVICE, "spec.clusterIP", ip)), None)
    if first is not None:
        return first
    # A second address is in no index; its text is looked for before anything is decoded.
    text = f'"{ip}"'.encode()
    entries = (entry for entry in view.table(SERVICE).entries.values() if text in entry.raw)
    return next((entry.object for entry in entries if ip in _ips(entry.object)), None)


def _ips(service: Object) -> Iterator[str]:
    yield from (ip for ip in service["spec"].get("clusterIPs") or () if ip and ip != "None")


def _made(ip: str, service: Object) -> Object:
    labels = {FAMILY_LABEL: family_of(ip), MANAGED_LABEL: ALLOCATOR}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": ip, "labels": labels},
        "spec": {"parentRef": _reference(service)},
    }


def _reference(service: Object) -> Object:
    meta = service["metadata"]
    return {"resource": "services", "namespace": meta["namespace"], "name": meta["name"]}


def _addresses(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key.name and b'"clusterIPs"' in entry.raw:
        yield from (Key("", ip) for ip in _ips(entry.object))


def _itself(entry: Entry, view: View) -> Iterable[Key]:
    if is_managed(entry.labels):
        yield entry.key if entry.key in view.table(IP_ADDRESS).entries else Key(_LOST, entry.key.name)


CONTROLLER = Controller(
    "service-ipaddress",
    (Watch(IP_ADDRESS, _itself), Watch(SERVICE, _addresses)),
    plan,
    speaker="ipallocator-repair-controller",
)
