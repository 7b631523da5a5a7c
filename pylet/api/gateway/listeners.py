"""The listeners of all Gateways of ours as one: they share the nodes' addresses, so a port speaks one protocol. Pure.

Listeners of one port are told apart by host name; those of several Gateways with the same name are served together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pylet.api.gateway import CONTROLLER, GROUP
from pylet.api.gateway.grants import may_name
from pylet.api.object import Key, Object, dig, is_terminating, key_of, seniority

PROTOCOLS = ("HTTP", "HTTPS")
_INGRESS_PORTS = {80: "HTTP", 443: "HTTPS"}
"""Ports of Ingresses, on the same proxy."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener; `refused` is the reason why it is not served, and `kinds` are the routes it takes.

    `certificates` are those it may have; `lacks` says why others that it names are none.
    """

    gateway: Key
    name: str
    port: int
    protocol: str
    hostname: str
    spec: Object
    kinds: tuple[str, ...]
    has_invalid_kinds: bool
    certificates: tuple[Key, ...]
    lacks: str = ""
    refused: str = ""


def ours(gateways: Iterable[Object], classes: Iterable[Object]) -> list[Object]:
    """The Gateways of our classes, the oldest first."""
    names = {item["metadata"]["name"] for item in classes if item["spec"]["controllerName"] == CONTROLLER}
    found = [one for one in gateways if one["spec"]["gatewayClassName"] in names and not is_terminating(one)]
    return sorted(found, key=seniority)


def listeners(gateways: Sequence[Object], grants: Iterable[Object]) -> list[Listener]:
    """Of these Gateways of ours, in this order: who comes first has the port."""
    protocols, found, grants = dict(_INGRESS_PORTS), [], list(grants)
    for gateway in gateways:
        own: dict[int, set[str]] = {}
        for spec in gateway["spec"].get("listeners") or ():
            own.setdefault(spec["port"], set()).add(spec["protocol"])
        for spec in gateway["spec"].get("listeners") or ():
            port, protocol = spec["port"], spec["protocol"]
            refused = ""
            if protocol not in PROTOCOLS:
                refused = "UnsupportedProtocol"
            elif protocol == "HTTPS" and _wants_client_certificates(gateway, port):
                refused = "UnsupportedValue"
            elif len(own[port]) > 1 or protocols.setdefault(port, protocol) != protocol:
                refused = "ProtocolConflict"
            found.append(_listener(gateway, spec, refused, grants))
    return found


def _wants_client_certificates(gateway: Object, port: int) -> bool:
    """Nobody is asked for one here: so nobody is let in who should have been asked."""
    frontend = dig(gateway, "spec", "tls", "frontend", default={}) or {}
    of_port = [one.get("tls") for one in frontend.get("perPort") or () if one["port"] == port]
    return any((one or {}).get("validation") for one in of_port or [frontend.get("default")])


def _listener(gateway: Object, spec: Object, refused: str, grants: Sequence[Object]) -> Listener:
    asked = dig(spec, "allowedRoutes", "kinds", default=None)
    supported = ("HTTPRoute",) if spec["protocol"] in PROTOCOLS else ()
    valid = [one["kind"] for one in asked or () if one.get("group", GROUP) == GROUP and one["kind"] in supported]
    certificates, lacks = _certificates(gateway, spec, grants)
    return Listener(
        key_of(gateway),
        spec["name"],
        spec["port"],
        spec["protocol"],
        (spec.get("hostname") or "").lower(),
        spec,
        tuple(valid) if asked else supported,
        bool(asked) and len(valid) < len(asked),
        certificates,
        lacks,
        refused,
    )


def _certificates(gateway: Object, spec: Object, grants: Sequence[Object]) -> tuple[tuple[Key, ...], str]:
    """The Secrets an HTTPS listener ends TLS with, and the reason why others are none."""
    if spec["protocol"] != "HTTPS":
        return (), ""
    namespace = gateway["metadata"]["namespace"]
    found, lacks = [], ""
    for one in dig(spec, "tls", "certificateRefs", default=()) or ():
        key = Key(one.get("namespace") or namespace, one["name"])
        if (one.get("group") or "", one.get("kind", "Secret")) != ("", "Secret"):
            lacks = "InvalidCertificateRef"
        elif not may_name("Gateway", namespace, "Secret", key, grants):
            lacks = "RefNotPermitted"
        else:
            found.append(key)
    return tuple(found), lacks or ("" if found else "InvalidCertificateRef")


def secrets(gateways: Iterable[Object], classes: Iterable[Object], grants: Iterable[Object]) -> Iterator[Key]:
    """The certificates that nodes may read."""
    for listener in listeners(ours(gateways, classes), grants):
        yield from listener.certificates
