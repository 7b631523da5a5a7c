"""Endpoints: the addresses behind a Service, in the older form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.ip import endpoint_problems_of, problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_PROTOCOLS = ("SCTP", "TCP", "UDP")

_NO_ADDRESS = "must be a valid IP address"


class EndpointsStrategy(Strategy):
    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        for position, subset in enumerate(obj.get("subsets") or ()):
            where = f"subsets[{position}]"
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                found.append(causes.required(where, "must specify `addresses` or `notReadyAddresses`"))
            for field in ("addresses", "notReadyAddresses"):
                for index, address in enumerate(subset.get(field) or ()):
                    found += _address(address, f"{where}.{field}[{index}]")
            ports = subset.get("ports") or ()
            for index, port in enumerate(ports):
                found += _port(port, f"{where}.ports[{index}]", is_alone=len(ports) == 1)
        return found


def _address(address: Object, where: str) -> list[Cause]:
    ip = address.get("ip", "")
    wrong = problems_of(ip)
    if wrong and wrong[0].startswith(_NO_ADDRESS):
        wrong = (*wrong, _NO_ADDRESS)
    found = causes.each(f"{where}.ip", ip, wrong or endpoint_problems_of(ip))
    if host := address.get("hostname"):
        found += causes.each(f"{where}.hostname", host, names.dns_label(host))
    if (node := address.get("nodeName")) is not None:
        found += causes.each(f"{where}.nodeName", node, names.dns_subdomain(node))
    return found


def _port(port: Object, where: str, *, is_alone: bool) -> list[Cause]:
    found: list[Cause] = []
    name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "")
    if name:
        found += causes.each(f"{where}.name", name, names.dns_label(name))
    elif not is_alone:
        found.append(causes.required(f"{where}.name"))
    found += causes.each(f"{where}.port", number, names.port_number(number))
    if protocol not in _PROTOCOLS:
        found.append(causes.not_supported(f"{where}.protocol", protocol, _PROTOCOLS))
    if (spoken := port.get("appProtocol")) is not None:
        found += causes.each(f"{where}.appProtocol", spoken, names.qualified_name(spoken))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], _addresses(obj), columns.age(obj, now)]


def _addresses(obj: Object) -> str:
    shown = []
    for subset in obj.get("subsets") or ():
        ips = [address["ip"] for address in subset.get("addresses") or ()]
        if not subset.get("ports"):
            shown += ips
        for port in subset.get("ports") or ():
            shown += [f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}" for ip in ips]
    if not obj.get("subsets"):
        return "<none>"
    return columns.listed(shown) if shown else ""


KIND = Kind(
    group="",
    version="v1",
    name="Endpoints",
    plural="endpoints",
    definition="io.k8s.api.core.v1.Endpoints",
    short_names=("ep",),
    warning="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    strategy=EndpointsStrategy(),
    columns=(
        columns.NAME,
        Column("Endpoints", description="The set of all endpoints is the union of all subsets."),
        columns.AGE,
    ),
    cells=_cells,
)
