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
                    ip = address.get("ip", "")
                    at = f"{where}.{field}[{index}]"
                    wrong = problems_of(ip)
                    if wrong and wrong[0].startswith(_NO_ADDRESS):
                        wrong = (*wrong, _NO_ADDRESS)
                    problems = wrong or endpoint_problems_of(ip)
                    found += causes.each(f"{at}.ip", ip, problems)
                    for name, check in (("hostname", names.dns_label), ("nodeName", names.dns_subdomain)):
                        text = address.get(name)
                        if text or (text is not None and name == "nodeName"):
                            found += causes.each(f"{at}.{name}", text, check(text))
            ports = subset.get("ports") or ()
            for index, port in enumerate(ports):
                at = f"{where}.ports[{index}]"
                name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "")
                if name:
                    found += causes.each(f"{at}.name", name, names.dns_label(name))
                elif len(ports) > 1:
                    found.append(causes.required(f"{at}.name"))
                found += causes.each(f"{at}.port", number, names.port_number(number))
                if protocol not in _PROTOCOLS:
                    found.append(causes.not_supported(f"{at}.protocol", protocol, _PROTOCOLS))
                if (spoken := port.get("appProtocol")) is not None:
                    found += causes.each(f"{at}.appProtocol", spoken, names.qualified_name(spoken))
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
