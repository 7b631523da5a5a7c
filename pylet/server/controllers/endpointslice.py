"""EndpointSlice: which pods stand behind a Service, and how they fare.

Changes go into the slices there are: an endpoint stays where it is while it exists, so that one pod's change rewrites
one slice. Source: upstream `staging/src/k8s.io/endpointslice/reconciler.go`, `utils.go`.
"""

from __future__ import annotations

from collections import Counter as Amounts
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from pylet.aio.prometheus import Counter, Histogram, gauges
from pylet.api import zone_hints
from pylet.api.backends import MANAGED_BY, SERVICE_NAME, family_of, hostname_under
from pylet.api.errors import ApiError, Conflict
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, annotations_of, dig, is_terminating, key_of, labels_of, owners_of, uid_of
from pylet.api.podtemplate import owner_reference
from pylet.client.view import Entry, View
from pylet.server.reconcile import services
from pylet.server.reconcile.members import member
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

MANAGER = "endpointslice-controller.k8s.io"
_HEADLESS = "service.kubernetes.io/headless"
_MOST_ENDPOINTS = 100
_PREFIX = "endpoint_slice_controller"
_SLICES = Slices(_PREFIX, MANAGER)
_LOOKS = Counter(f"{_PREFIX}_syncs", "Looks at Services.", ("result",))
_CHANGED = Histogram(f"{_PREFIX}_endpointslices_changed_per_sync", "At one look.", ("topology", "traffic_distribution"))
_NEAR = ("PreferClose", "PreferSameZone", "PreferSameNode")

_Ports = tuple[tuple[tuple[str, object], ...], ...]


def _plan(key: Key, view: View, triggers: services.Triggers) -> Plan:
    service = view.get(SERVICE, key)
    mine = services.slices_of(key, MANAGER, view)
    if service is None or is_terminating(service):
        triggers.forget(key)
        _SLICES.forget(key)
        return Plan(tuple(Delete(ENDPOINT_SLICE, key_of(gone), uid_of(gone)) for gone in mine)) if mine else NOTHING
    if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        return NOTHING
    pods = services.selected(service, view)
    wanted, trigger = _endpoints(service, pods, view), triggers.annotated(service, pods)
    families = service["spec"].get("ipFamilies") or ["IPv4"]
    ours = [found for found in mine if uid_of(service) in (owner["uid"] for owner in owners_of(found))]
    actions: list[Action] = [
        Delete(ENDPOINT_SLICE, key_of(found), uid_of(found))
        for found in mine
        if found not in ours or found["addressType"] not in families
    ]
    sizes: list[int] = []
    for family in families:
        groups: dict[_Ports, dict[str, Object]] = {}
        told = _hint(service, family, [endpoint for _, endpoint in wanted.get(family, {}).values()], view)
        for pod_uid, (ports, endpoint) in wanted.get(family, {}).items():
            groups.setdefault(ports, {})[pod_uid] = endpoint
        if not groups:
            groups[()] = {}  # a Service without pods still has one slice, which says so
        there = [found for found in ours if found["addressType"] == family]
        changes = [
            replace(action, refused=partial(_refused, service, type(action).__name__.lower()))
            if isinstance(action, Create | Update)
            else action
            for action in _fit(service, family, groups, there, trigger)
        ]
        actions += [*changes, *(told if changes else ())]
        sizes += map(len, groups.values())
    ends = [endpoint for found in mine for endpoint in found.get("endpoints") or ()]
    fresh = [endpoint for of in wanted.values() for _, endpoint in of.values()]
    _SLICES.look(key, ends, fresh, sizes)
    return Plan(tuple(actions)) if actions else NOTHING


def _refused(service: Object, verb: str, error: ApiError) -> tuple[Action, ...]:
    if isinstance(error, Conflict):
        return ()
    named = f"Service {key_of(service)}"
    says = f"Error updating Endpoint Slices for {named}: failed to {verb} EndpointSlice for {named}: {error.message}"
    return (Emit(service, "FailedToUpdateEndpointSlices", says, "Warning"),)


def _endpoints(service: Object, pods: Iterable[Entry], view: View) -> dict[str, dict[str, tuple[_Ports, Object]]]:
    """Address family → pod uid → (ports, endpoint)."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    found: dict[str, dict[str, tuple[_Ports, Object]]] = {}
    nodes = view.table(NODE).entries
    for pod in pods:
        one = member(pod)
        node = nodes.get(Key("", one.node))
        if one.is_finished or not one.node or (node is None and not publish):
            continue
        zone = node.labels.get(zone_hints.ZONE, "") if node is not None else ""
        for address in one.ips:
            endpoint = _endpoint(service, pod, address, zone, publish=publish)
            found.setdefault(family_of(address), {})[pod.uid] = _ports(service, pod), endpoint
    return found


def _endpoint(service: Object, pod: Entry, address: str, zone: str, *, publish: bool) -> Object:
    one = member(pod)
    endpoint: Object = {
        "addresses": [address],
        "conditions": {
            "ready": publish or (one.is_ready and not one.is_terminating),
            "serving": one.is_ready,
            "terminating": one.is_terminating,
        },
        "nodeName": one.node,
        "targetRef": {"kind": "Pod", "name": pod.key.name, "namespace": pod.key.namespace, "uid": pod.uid},
    }
    if hostname := hostname_under(service, one.hostname, one.subdomain):
        endpoint["hostname"] = hostname
    if zone:
        endpoint["zone"] = zone
    if endpoint["conditions"]["ready"] and (hints := _hints(service, endpoint)):
        endpoint["hints"] = hints
    return endpoint


def _hint(service: Object, family: str, endpoints: list[Object], view: View) -> Iterable[Emit]:
    """Give ready endpoints to zones where topology mode Auto asks for that; what is to be said about it."""
    if not zone_hints.is_wanted(service):
        return ()
    ready = sorted(
        (endpoint for endpoint in endpoints if endpoint["conditions"]["ready"]),
        key=lambda endpoint: str(endpoint["targetRef"]["uid"]),
    )
    try:
        shares = zone_hints.cpu_shares(view.select(NODE))
        zones = zone_hints.zones_for([endpoint.get("zone", "") for endpoint in ready], shares)
    except zone_hints.NoHints as why:
        return (Emit(service, "TopologyAwareHintsDisabled", f"{why}, addressType: {family}", "Warning"),)
    for endpoint, zone in zip(ready, zones, strict=True):
        endpoint["hints"] = {"forZones": [{"name": zone}]}
    return (Emit(service, "TopologyAwareHintsEnabled", f"{zone_hints.ENABLED}, addressType: {family}"),)


def _hints(service: Object, endpoint: Object) -> Object:
    """For whom a ready endpoint is near. Source: `endpointslice/trafficdist/trafficdist.go`."""
    if zone_hints.is_wanted(service):
        return {}  # `_hint` decides
    wish = service["spec"].get("trafficDistribution")
    hints: Object = {}
    if wish in _NEAR and "zone" in endpoint:
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if wish == "PreferSameNode":
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints


def _ports(service: Object, pod: Entry) -> _Ports:
    """The Service's ports as this pod has them; a named target that the pod lacks is left out."""
    ports = []
    for port in service["spec"].get("ports") or ():
        number = services.port_of(port, pod)
        if number is None:
            continue
        fields = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
        if "appProtocol" in port:
            fields["appProtocol"] = port["appProtocol"]
        ports.append(tuple(sorted(fields.items())))
    return tuple(ports)


def _fit(
    service: Object,
    family: str,
    groups: dict[_Ports, dict[str, Object]],
    there: list[Object],
    trigger: dict[str, str],
) -> Iterable[Action]:
    """Bring the slices of one family to hold exactly `groups`, touching as few as possible.

    `trigger` goes into the annotations of what is written.
    """
    for ports, wanted in groups.items():
        left = dict(wanted)
        matching = [found for found in there if _ports_of(found) == ports]
        kept: list[tuple[Object, list[Object]]] = []
        for found in matching:
            uids = [_uid_of(endpoint) for endpoint in found.get("endpoints") or ()]
            kept.append((found, [left.pop(uid) for uid in uids if uid in left]))
        for _, endpoints in kept:
            while left and len(endpoints) < _MOST_ENDPOINTS:
                endpoints.append(left.pop(next(iter(left))))
        for found, endpoints in kept:
            there.remove(found)
            if not endpoints and (wanted or found is not kept[0][0]):
                yield Delete(ENDPOINT_SLICE, key_of(found), uid_of(found))
            else:
                fresh = _slice(service, family, ports, endpoints, trigger)
                if (found.get("endpoints") or []) != endpoints or labels_of(found) != labels_of(fresh):
                    others = {k: v for k, v in annotations_of(found).items() if k != services.Triggers.ANNOTATION}
                    meta = {**found["metadata"], "labels": labels_of(fresh), "annotations": {**others, **trigger}}
                    yield Update(ENDPOINT_SLICE, {**found, "metadata": meta, "endpoints": endpoints})
        rest = list(left.values())
        if not kept and not rest:
            yield Create(ENDPOINT_SLICE, _slice(service, family, ports, [], trigger))
        for start in range(0, len(rest), _MOST_ENDPOINTS):
            some = rest[start : start + _MOST_ENDPOINTS]
            yield Create(ENDPOINT_SLICE, _slice(service, family, ports, some, trigger))
    for found in there:
        yield Delete(ENDPOINT_SLICE, key_of(found), uid_of(found))


def _slice(service: Object, family: str, ports: _Ports, endpoints: list[Object], annotations: dict[str, str]) -> Object:
    meta = service["metadata"]
    labels = {name: value for name, value in labels_of(service).items() if name != _HEADLESS}
    labels |= {SERVICE_NAME: meta["name"], MANAGED_BY: MANAGER}
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.name,
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
            "ownerReferences": [owner_reference(service, SERVICE)],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [dict(port) for port in ports],
    }


def _ports_of(found: Object) -> _Ports:
    return tuple(tuple(sorted({"name": "", **port}.items())) for port in found.get("ports") or ())


def _uid_of(endpoint: Object) -> str:
    return str(dig(endpoint, "targetRef", "uid", default=""))


def _shares(view: View) -> dict[str, float]:
    try:
        return zone_hints.cpu_shares(view.select(NODE))
    except zone_hints.NoHints:
        return {}


def controller() -> Controller:
    zones: dict[str, str | None] = {}
    shares: dict[str, float] = {}
    triggers = services.Triggers()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        return _plan(key, view, triggers)

    def of_node(entry: Entry, view: View) -> Iterable[Key]:
        """A node that comes, goes or moves changes the endpoints of its pods, and for whom others are."""
        nonlocal shares
        hinted = [each for each in view.table(SERVICE).entries.values() if b"/topology-" in each.raw]
        if hinted and (now := _shares(view)) != shares:
            shares = now
            yield from (each.key for each in hinted)
        found = view.table(NODE).entries.get(entry.key)
        zone = found.labels.get(zone_hints.ZONE, "") if found is not None else None
        if zones.get(entry.key.name) == zone:
            return
        zones[entry.key.name] = zone
        if zone is None:
            del zones[entry.key.name]
        for pod in view.table(POD).with_field("spec.nodeName", entry.key.name).values():
            yield from services.selecting(pod, view)

    watches = (
        Watch(SERVICE, itself),
        Watch(POD, services.selecting),
        Watch(ENDPOINT_SLICE, services.of_slices(MANAGER)),
        Watch(NODE, of_node),
    )
    return Controller(
        "endpointslice", watches, plan, speaker="endpoint-slice-controller", synced=_synced, metrics=_metrics
    )


def _synced(done: Synced, view: View) -> None:
    _LOOKS.add("success" if done.failed is None else "stale" if isinstance(done.failed, Conflict) else "error")
    changed = _SLICES.done(done.key, done.actions, failed=done.failed is not None)
    service = view.get(SERVICE, done.key)
    if changed is not None and service is not None:
        is_auto, wish = zone_hints.is_wanted(service), service["spec"].get("trafficDistribution", "")
        _CHANGED.observe(changed, "Auto" if is_auto else "Disabled", wish if wish in _NEAR and not is_auto else "")


def _metrics(view: View) -> Iterator[str]:
    yield from _SLICES.lines(view)
    yield from _LOOKS.lines()
    yield from _CHANGED.lines()
    services_ = [entry for entry in view.table(SERVICE).entries.values() if b'"trafficDistribution"' in entry.raw]
    wishes = Amounts(str(dig(entry.object, "spec", "trafficDistribution", default="")) for entry in services_)
    values = [({"traffic_distribution": wish}, number) for wish, number in wishes.items() if wish]
    yield from gauges(f"{_PREFIX}_services_count_by_traffic_distribution", "Services that ask for it.", values)


CONTROLLER = controller()
