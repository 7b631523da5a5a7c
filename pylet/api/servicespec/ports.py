"""The ports of a Service."""

from __future__ import annotations

from pylet.api import causes, golang, names
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec.probes import validate_port

_PROTOCOLS = ("SCTP", "TCP", "UDP")


def validate(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    ports = spec.get("ports") or ()
    taken: set[str] = set()
    taken_ports: set[tuple[str, int]] = set()
    taken_node_ports: set[tuple[str, int]] = set()
    for position, port in enumerate(ports):
        where = f"spec.ports[{position}]"
        name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "")
        if name:
            found += causes.each(f"{where}.name", name, names.dns_label(name))
            if name in taken:
                found.append(causes.duplicate(f"{where}.name", name))
            taken.add(name)
        elif len(ports) > 1:
            found.append(causes.required(f"{where}.name"))
        found += causes.each(f"{where}.port", number, names.port_number(number))
        if protocol not in _PROTOCOLS:
            found.append(causes.not_supported(f"{where}.protocol", protocol, _PROTOCOLS))
        found += validate_port(port.get("targetPort", 0), f"{where}.targetPort")
        if "appProtocol" in port:
            found += causes.each(f"{where}.appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))
        if (protocol, number) in taken_ports:
            found.append(causes.duplicate(where, golang.inside("ServicePort", {"port": number, "protocol": protocol})))
        taken_ports.add((protocol, number))
        node_port = port.get("nodePort", 0)
        if node_port and spec.get("type") == "ClusterIP":
            found.append(causes.forbidden(f"{where}.nodePort", "may not be used when `type` is 'ClusterIP'"))
        if node_port and (protocol, node_port) in taken_node_ports:
            found.append(causes.duplicate(f"{where}.nodePort", node_port))
        taken_node_ports.add((protocol, node_port))
    return found
