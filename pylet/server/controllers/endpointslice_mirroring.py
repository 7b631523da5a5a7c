"""EndpointSlice mirroring: Endpoints somebody writes for a Service without a selector, as EndpointSlices.

Source: upstream `pkg/controller/endpointslicemirroring` (reconciler.go, utils.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import TypeAlias

from pylet.aio.prometheus import Histogram, doubling
from pylet.api.backends import MANAGED_BY, SERVICE_NAME, family_of
from pylet.api.kinds.endpoints import KIND as ENDPOINTS
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, annotations_of, key_of, labels_of, uid_of
from pylet.api.podtemplate import owner_reference
from pylet.client.view import Entry, View
from pylet.server.reconcile import services
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Create,
    Delete,
    Emit,
    Plan,
    Synced,
    Update,
    Watch,
    itself,
)
from pylet.server.reconcile.slices import Slices

_MANAGER = "endpointslicemirroring-controller.k8s.io"
_PREFIX = "endpoint_slice_mirroring_controller"
_SLICES = Slices(_PREFIX, _MANAGER)
_SKIPPED = Histogram(f"{_PREFIX}_addresses_skipped_per_sync", "At one look.", (), doubling(2, 15))
_SECONDS = Histogram(f"{_PREFIX}_endpoints_sync_duration", "Looking, in seconds.", (), doubling(0.001, 15))
_SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_NOT_MIRRORED = ("endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration")
_MOST = 1000  # of a subset

_Ports: TypeAlias = tuple[tuple[tuple[str, object], ...], ...]
_Group: TypeAlias = tuple[str, _Ports]
"""Address family and ports: one slice for each."""


def plan(key: Key, view: View, now: datetime) -> Plan:
    mirrored = services.slices_of(key, _MANAGER, view)
    endpoints, service = view.get(ENDPOINTS, key), view.get(SERVICE, key)
    if endpoints is None or service is None or service["spec"].get("selector") or not _is_wanted(endpoints):
        _SLICES.forget(key)
        return Plan(tuple(map(_delete, mirrored))) if mirrored else NOTHING
    groups, invalid, skipped = _groups(endpoints)
    there: dict[_Group, list[Object]] = {}
    for found in mirrored:
        there.setdefault((found["addressType"], _ports(found.get("ports") or ())), []).append(found)
    actions = [action for group, wanted in groups.items() for action in _fit(endpoints, group, wanted, there)]
    actions += [_delete(found) for group, left in there.items() if group not in groups for found in left]
    held = [endpoint for found in mirrored for endpoint in found.get("endpoints") or ()]
    _SLICES.look(key, held, [each for group in groups.values() for each in group], map(len, groups.values()))
    _SKIPPED.observe(skipped)
    if not actions:
        return NOTHING
    return Plan((*_told(endpoints, invalid, skipped), *actions))


def _is_wanted(endpoints: Object) -> bool:
    return labels_of(endpoints).get(_SKIP) != "true" and _LEADER not in annotations_of(endpoints)


def _told(endpoints: Object, invalid: int, skipped: int) -> Iterator[Action]:
    if invalid:
        says = f"Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices"
        yield Emit(endpoints, "InvalidIPAddress", says, "Warning")
    if skipped > invalid:
        says = f"A max of {_MOST} addresses can be mirrored to EndpointSlices per Endpoints subset."
        yield Emit(endpoints, "TooManyAddressesToMirror", f"{says} {skipped} addresses were skipped", "Warning")


def _groups(endpoints: Object) -> tuple[dict[_Group, list[Object]], int, int]:
    """What each slice should hold; how many addresses are none, and how many are left out in all."""
    groups: dict[_Group, list[Object]] = {}
    invalid = skipped = 0
    for subset in endpoints.get("subsets") or ():
        ports, added = _ports(subset.get("ports") or ()), 0
        addresses = [(address, True) for address in subset.get("addresses") or ()]
        addresses += [(address, False) for address in subset.get("notReadyAddresses") or ()]
        for address, ready in addresses:
            if added >= _MOST:
                break
            try:
                ip = str(ip_address(address["ip"]))
            except ValueError:
                invalid += 1
                continue
            added += 1
            groups.setdefault((family_of(ip), ports), []).append(_endpoint(address, ip, ready=ready))
        skipped += len(addresses) - added
    return groups, invalid, skipped


def _endpoint(address: Object, ip: str, *, ready: bool) -> Object:
    kept = {name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)}
    return {"addresses": [ip], "conditions": {"ready": ready}, **kept}


def _ports(ports: Iterable[Object]) -> _Ports:
    return tuple(sorted(tuple(sorted({"name": "", "protocol": "TCP", **port}.items())) for port in ports))


def _fit(endpoints: Object, group: _Group, wanted: list[Object], there: dict[_Group, list[Object]]) -> Iterator[Action]:
    fresh = _slice(endpoints, group, wanted[:_MOST])
    if group not in there:
        yield Create(ENDPOINT_SLICE, fresh)
        return
    first, *rest = there[group]
    if not _is_same(first, fresh):
        meta = {
            **first["metadata"],
            "labels": fresh["metadata"]["labels"],
            "annotations": fresh["metadata"]["annotations"],
        }
        yield Update(ENDPOINT_SLICE, {**first, "metadata": meta, "endpoints": fresh["endpoints"]})
    yield from map(_delete, rest)


def _is_same(found: Object, fresh: Object) -> bool:
    return (
        sorted(map(str, found.get("endpoints") or ())) == sorted(map(str, fresh["endpoints"]))
        and labels_of(found) == labels_of(fresh)
        and annotations_of(found) == annotations_of(fresh)
    )


def _slice(endpoints: Object, group: _Group, held: list[Object]) -> Object:
    family, ports = group
    meta = endpoints["metadata"]
    kept = {name: value for name, value in annotations_of(endpoints).items() if name not in _NOT_MIRRORED}
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.name,
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": {**labels_of(endpoints), SERVICE_NAME: meta["name"], MANAGED_BY: _MANAGER},
            "annotations": kept,
            "ownerReferences": [owner_reference(endpoints, ENDPOINTS)],
        },
        "addressType": family,
        "endpoints": held,
        "ports": [dict(port) for port in ports],
    }


def _delete(found: Object) -> Action:
    return Delete(ENDPOINT_SLICE, key_of(found), uid_of(found))


def _of_service(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key in view.table(ENDPOINTS).entries:
        yield entry.key


def _synced(done: Synced, view: View) -> None:
    _SECONDS.observe(done.seconds)
    _SLICES.done(done.key, done.actions, failed=done.failed is not None)


def _metrics(view: View) -> Iterator[str]:
    yield from _SLICES.lines(view)
    yield from _SKIPPED.lines()
    yield from _SECONDS.lines()


CONTROLLER = Controller(
    "endpoint-slice-mirroring",
    (Watch(ENDPOINTS, itself), Watch(SERVICE, _of_service), Watch(ENDPOINT_SLICE, services.of_slices(_MANAGER))),
    plan,
    synced=_synced,
    metrics=_metrics,
)
