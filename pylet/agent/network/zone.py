"""What names a cluster has: the Kubernetes DNS specification 1.1 over Services and EndpointSlices. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pylet.agent.network import dnswire as wire
from pylet.agent.network.dnswire import Record
from pylet.api.object import Key, Object

TTL = 5
"""Seconds an answer may be remembered; upstream's CoreDNS says 5, too."""


@dataclass(frozen=True, slots=True)
class Found:
    """`exists` is False for NXDOMAIN; True without records for NODATA. `alias` is to be resolved elsewhere."""

    records: Sequence[Record] = ()
    exists: bool = True
    extra: Sequence[Record] = ()
    alias: str = ""


_ABSENT = Found(exists=False)
_HEADLESS = "service.kubernetes.io/headless"


class Zone:
    """Answers from live objects: `service` and `slices` look them up, `by_address` who has a cluster address."""

    def __init__(
        self,
        domain: str,
        service: Callable[[Key], Object | None],
        slices: Callable[[Key], Iterable[Object]],
        by_address: Callable[[str], Sequence[str]],
        has_services: Callable[[str], bool],
    ) -> None:
        self.domain = domain
        self._service = service
        self._slices = slices
        self._by_address = by_address
        self._has_services = has_services

    def is_ours(self, name: str) -> bool:
        return name == self.domain or name.endswith(f".{self.domain}")

    def lookup(self, name: str, type_: int) -> Found:
        """A name of this zone."""
        labels = name[: -len(self.domain)].rstrip(".").split(".") if name != self.domain else []
        match labels[::-1]:
            case []:
                return Found()
            case ["dns-version"]:
                return Found([wire.text(name, "1.1.0", TTL)] if type_ in (wire.TXT, wire.ANY) else [])
            case ["svc"] | ["pod"]:
                return Found()
            case ["svc", namespace]:
                return Found(exists=self._has_services(namespace))
            case ["pod", _]:
                return Found()
            case ["pod", _, address]:
                return self._pod(name, address, type_)
            case ["svc", namespace, service, *rest]:
                return self._of_service(name, Key(namespace, service), rest, type_)
        return _ABSENT

    def reverse(self, name: str) -> Found | None:
        """Who has an address of the cluster; None for an address that is not the cluster's to know."""
        address = address_of(name)
        names = self._by_address(address) if address else ()
        return Found([wire.pointer(name, target, TTL) for target in names]) if names else None

    def _pod(self, name: str, label: str, type_: int) -> Found:
        for separator in (".", ":"):
            try:
                address = ipaddress.ip_address(label.replace("-", separator))
            except ValueError:
                continue
            return Found(_of_type([wire.address(name, str(address), TTL)], type_))
        return _ABSENT

    def _of_service(self, name: str, key: Key, rest: list[str], type_: int) -> Found:
        service = self._service(key)
        if service is None:
            return _ABSENT
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return Found(alias=spec["externalName"].rstrip(".").lower()) if not rest else _ABSENT
        base = f"{key.name}.{key.namespace}.svc.{self.domain}"
        headless = spec.get("clusterIP") == "None"
        match rest:
            case []:
                return Found(_of_type(self._addresses(name, service, key, headless=headless), type_))
            case [protocol, port] if protocol.startswith("_") and port.startswith("_"):
                return self._srv(name, base, service, key, port[1:], protocol[1:].upper(), type_, headless=headless)
            case [protocol] if protocol.startswith("_"):
                return Found()
            case [host] if headless:
                addresses = [ip for label, ip, _ in self._endpoints(service, key) if label == host]
                if not addresses:
                    return _ABSENT
                return Found(_of_type([wire.address(name, ip, TTL) for ip in addresses], type_))
        return _ABSENT

    def _addresses(self, name: str, service: Object, key: Key, *, headless: bool) -> list[Record]:
        if headless:
            addresses = list(dict.fromkeys(ip for _, ip, _ in self._endpoints(service, key)))
        else:
            addresses = service["spec"].get("clusterIPs") or []
        return [wire.address(name, ip, TTL) for ip in addresses if ip]

    def _srv(
        self, name: str, base: str, service: Object, key: Key, port: str, protocol: str, type_: int, *, headless: bool
    ) -> Found:
        if headless:
            targets = [
                (f"{label}.{base}", ip, number)
                for label, ip, ports in self._endpoints(service, key)
                for port_name, port_protocol, number in ports
                if (port_name, port_protocol) == (port, protocol)
            ]
        else:
            numbers = [
                p["port"]
                for p in service["spec"].get("ports") or ()
                if p.get("name") == port and p.get("protocol", "TCP") == protocol
            ]
            targets = [(base, ip, number) for ip in service["spec"].get("clusterIPs") or () for number in numbers]
        if not targets:
            return _ABSENT
        if type_ not in (wire.SRV, wire.ANY):
            return Found()
        records = dict.fromkeys(wire.srv(name, target, number, TTL) for target, _, number in targets)
        return Found(list(records), extra=[wire.address(target, ip, TTL) for target, ip, _ in targets])

    def _endpoints(self, service: Object, key: Key) -> Iterable[tuple[str, str, list[tuple[str, str, int]]]]:
        """(host label, address, ports) of each endpoint that is to be found."""
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        for item in self._slices(key):
            if item["addressType"] == "FQDN":
                continue  # no addresses: nothing to answer with
            ports = [(p.get("name", ""), p.get("protocol", "TCP"), p.get("port", 0)) for p in item.get("ports") or ()]
            for endpoint in item.get("endpoints") or ():
                if not publish and (endpoint.get("conditions") or {}).get("ready") is False:
                    continue
                for ip in endpoint["addresses"]:
                    yield endpoint.get("hostname") or _label(ip), ip, ports


def hosts(item: Object) -> Iterable[tuple[str, str]]:
    """(address, host label) of the endpoints in a slice that DNS gives a name of their own.

    Those of a headless Service all have one; of another's, those with a hostname, should it be made headless.
    """
    is_headless = _HEADLESS in (item["metadata"].get("labels") or {})
    for endpoint in item.get("endpoints") or ():
        host = endpoint.get("hostname")
        for address in endpoint["addresses"]:
            if host or is_headless:
                yield address, host or _label(address)


def _label(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


def _of_type(records: list[Record], type_: int) -> list[Record]:
    return [record for record in records if type_ in (record.type, wire.ANY)]


def address_of(name: str) -> str:
    """The address a name below in-addr.arpa or ip6.arpa stands for; "" for another name."""
    try:
        if name.endswith(".in-addr.arpa"):
            return str(ipaddress.IPv4Address(".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))))
        if name.endswith(".ip6.arpa"):
            digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
            return str(ipaddress.IPv6Address(int(digits, 16))) if len(digits) == 32 else ""
    except ValueError:
        pass
    return ""
