"""EndpointSlices: the addresses behind a Service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.ip import canonical_problems_of, endpoint_problems_of, problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MOST_ENDPOINTS = 1000
_MOST_ADDRESSES = 100
_MOST_PORTS = 20000
_MOST_LABELS = 16
_MOST_HINTS = 8


class EndpointSliceStrategy(Strategy):
    """Generation counts changes of endpoints, ports and labels; source: registry/discovery/endpointslice."""

    has_generation = True

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _drop_topology(obj)

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        if obj.get("endpoints") != old.get("endpoints"):
            _drop_topology(obj)

    def spec_changed(self, obj: Object, old: Object) -> bool:
        fields = ("endpoints", "ports")
        return any(obj.get(field) != old.get(field) for field in fields) or (
            obj["metadata"].get("labels") != old["metadata"].get("labels")
        )

    def warnings(self, obj: Object) -> Sequence[str]:
        return ("spec.addressType: FQDN endpoints are deprecated",) if obj.get("addressType") == "FQDN" else ()

    def validate(self, obj: Object) -> Sequence[Cause]:
        return [*_type_and_ports(obj), *_endpoints(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        """Endpoints that stay as they are, older servers may have thought valid."""
        same = obj.get("endpoints") == old.get("endpoints")
        changed = causes.immutable("addressType", obj.get("addressType"), old.get("addressType"))
        return [*_type_and_ports(obj), *(() if same else _endpoints(obj)), *changed]


def _drop_topology(obj: Object) -> None:
    """This version only shows it."""
    for endpoint in obj.get("endpoints") or ():
        endpoint.pop("deprecatedTopology", None)


def _type_and_ports(obj: Object) -> list[Cause]:
    type_, ports = obj.get("addressType", ""), obj.get("ports") or ()
    found: list[Cause] = []
    if not type_:
        found.append(causes.required("addressType"))
    elif type_ not in _TYPES:
        found.append(causes.not_supported("addressType", type_, _TYPES))
    if len(ports) > _MOST_PORTS:
        return [*found, causes.too_many("ports", len(ports), _MOST_PORTS)]
    seen: set[str] = set()
    for position, port in enumerate(ports):
        where, name = f"ports[{position}]", port.get("name", "")
        if name:
            found += causes.each(f"{where}.name", name, names.dns_label(name))
        if name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        seen.add(name)
        if port.get("protocol") not in _PROTOCOLS:
            found.append(causes.not_supported(f"{where}.protocol", port.get("protocol", ""), _PROTOCOLS))
        if "appProtocol" in port:
            found += causes.each(f"{where}.appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))
    return found


def _endpoints(obj: Object) -> list[Cause]:
    endpoints, type_ = obj.get("endpoints") or (), obj.get("addressType", "")
    if len(endpoints) > _MOST_ENDPOINTS:
        return [causes.too_many("endpoints", len(endpoints), _MOST_ENDPOINTS)]
    found: list[Cause] = []
    for position, endpoint in enumerate(endpoints):
        found += _endpoint(endpoint, type_, f"endpoints[{position}]")
    return found


def _endpoint(endpoint: Object, type_: str, where: str) -> list[Cause]:
    found: list[Cause] = []
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        found.append(causes.required(f"{where}.addresses", "must contain at least 1 address"))
    elif len(addresses) > _MOST_ADDRESSES:
        found.append(causes.too_many(f"{where}.addresses", len(addresses), _MOST_ADDRESSES))
    for position, address in enumerate(addresses):
        found += _address(address, type_, f"{where}.addresses", position) if type_ in _TYPES else []
    if "nodeName" in endpoint:
        found += causes.each(f"{where}.nodeName", endpoint["nodeName"], names.dns_subdomain(endpoint["nodeName"]))
    labels, field = endpoint.get("deprecatedTopology") or {}, f"{where}.deprecatedTopology"
    if len(labels) > _MOST_LABELS:
        found.append(causes.too_many(field, len(labels), _MOST_LABELS))
    for key, value in labels.items():
        found += causes.each(field, key, names.qualified_name(key))
        found += causes.each(field, value, names.label_value(value))
    if "hostname" in endpoint:
        found += causes.each(f"{where}.hostname", endpoint["hostname"], names.dns_label(endpoint["hostname"]))
    hints = endpoint.get("hints") or {}
    for name, check in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        found += _hints(hints.get(name) or [], f"{where}.hints.{name}", check)
    return found


def _address(address: str, type_: str, where: str, position: int) -> list[Cause]:
    field = f"{where}[{position}]"
    if type_ == "FQDN":
        return _domain(address, field)
    if problems := (canonical_problems_of if type_ == "IPv6" else problems_of)(address):
        return causes.each(field, address, problems)
    found: list[Cause] = []
    if (":" in address) != (type_ == "IPv6"):
        found.append(causes.invalid(where, address, f"must be an {type_} address"))
    return [*found, *causes.each(field, address, endpoint_problems_of(address))]


def _domain(name: str, field: str) -> list[Cause]:
    """Source: apimachinery IsFullyQualifiedDomainName."""
    name = name.removesuffix(".")
    if not name:
        return [causes.required(field)]
    if problems := names.dns_subdomain(name):
        return [causes.invalid(field, name, ",".join(problems))]
    if "." not in name:
        says = "should be a domain with at least two segments separated by dots"
        return [causes.invalid(field, name, says)]
    return [
        causes.invalid(field, label, ",".join(problems))
        for label in name.split(".")
        if (problems := names.dns_label(label))
    ][:1]


def _hints(hints: list[Object], where: str, check: Callable[[str], names.Problems]) -> list[Cause]:
    if len(hints) > _MOST_HINTS:
        return [causes.too_many(where, len(hints), _MOST_HINTS)]
    found: list[Cause] = []
    seen: set[str] = set()
    for position, hint in enumerate(hints):
        field, name = f"{where}[{position}].name", hint.get("name", "")
        if name in seen:
            found.append(causes.duplicate(field, name))
        seen.add(name)
        found += causes.each(field, name, check(name))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port") or port.get("name") or "*") for port in obj.get("ports") or ()]
    addresses = [ip for endpoint in obj.get("endpoints") or () for ip in endpoint.get("addresses") or ()]
    return [
        obj["metadata"]["name"],
        obj.get("addressType", ""),
        columns.listed(ports),
        columns.listed(addresses),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="discovery.k8s.io",
    version="v1",
    name="EndpointSlice",
    plural="endpointslices",
    definition="io.k8s.api.discovery.v1.EndpointSlice",
    strategy=EndpointSliceStrategy(),
    columns=(
        columns.NAME,
        Column("AddressType", description="The type of address carried by this EndpointSlice."),
        Column("Ports", description="The network ports exposed by each endpoint in this slice."),
        Column("Endpoints", description="A list of unique endpoints in this slice."),
        columns.AGE,
    ),
    cells=_cells,
)
