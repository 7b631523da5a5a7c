"""EndpointSlices: the addresses behind a Service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.ip import problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MOST_ENDPOINTS = 1000
_MOST_ADDRESSES = 100
_MOST_PORTS = 20000


class EndpointSliceStrategy(Strategy):
    """Generation counts changes of endpoints, ports and labels; source: registry/discovery/endpointslice."""

    has_generation = True

    def spec_changed(self, obj: Object, old: Object) -> bool:
        fields = ("endpoints", "ports")
        return any(obj.get(field) != old.get(field) for field in fields) or (
            obj["metadata"].get("labels") != old["metadata"].get("labels")
        )

    def validate(self, obj: Object) -> Sequence[Cause]:
        type_ = obj.get("addressType", "")
        found: list[Cause] = []
        if not type_:
            found.append(causes.required("addressType"))
        elif type_ not in _TYPES:
            found.append(causes.not_supported("addressType", type_, _TYPES))
        endpoints = obj.get("endpoints") or ()
        if len(endpoints) > _MOST_ENDPOINTS:
            return [*found, causes.too_many("endpoints", len(endpoints), _MOST_ENDPOINTS)]
        for position, endpoint in enumerate(endpoints):
            found += _endpoint(endpoint, type_, f"endpoints[{position}]")
        ports = obj.get("ports") or ()
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
            if "port" in port:
                found += causes.each(f"{where}.port", port["port"], names.port_number(port["port"]))
            if port.get("protocol") not in _PROTOCOLS:
                found.append(causes.not_supported(f"{where}.protocol", port.get("protocol", ""), _PROTOCOLS))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        changed = causes.immutable("addressType", obj.get("addressType"), old.get("addressType"))
        return [*self.validate(obj), *changed]


def _endpoint(endpoint: Object, type_: str, where: str) -> list[Cause]:
    found: list[Cause] = []
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        found.append(causes.required(f"{where}.addresses", "must contain at least 1 address"))
    elif len(addresses) > _MOST_ADDRESSES:
        found.append(causes.too_many(f"{where}.addresses", len(addresses), _MOST_ADDRESSES))
    for position, address in enumerate(addresses):
        field = f"{where}.addresses[{position}]"
        if type_ == "FQDN":
            found += causes.each(field, address, names.dns_subdomain(address))
        elif problems := problems_of(address):
            found += causes.each(field, address, problems)
        elif (":" in address) != (type_ == "IPv6"):
            found.append(causes.invalid(field, address, f"must be an {type_} address"))
    hostname = endpoint.get("hostname")
    if hostname is not None:
        found += causes.each(f"{where}.hostname", hostname, names.dns_label(hostname))
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
