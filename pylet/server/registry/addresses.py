"""Cluster addresses and node ports of Services: who has which is read from the Services themselves, nothing is stored.

One process writes Services, so allocating is race-free when what is being written now counts as taken: `allocate` holds
its choices until the block ends, by when the watch cache has them or the write has failed.
Source: pkg/registry/core/service/storage/{alloc,storage}.go, ipallocator, portallocator.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import orjson

from pylet.api import causes
from pylet.api.errors import Cause, InternalError, Invalid
from pylet.api.object import Object
from pylet.client.view import Entry, Table

NONE = "None"


class Full(Exception):
    """Every value of the range is taken."""


class Refused(Exception):
    """The value asked for cannot be had; the text is upstream's."""


class Pool:
    """Numbers first..last, some taken. The first `static` are handed out only when the rest is full, so that people
    who choose their own rarely collide with the allocator (KEP-3070, KEP-3668)."""

    def __init__(self, first: int, last: int, static: int) -> None:
        self.first = first
        self.last = last
        self._dynamic = min(first + static, last)
        self.taken: Counter[int] = Counter()

    def choose(self) -> int:
        """A free number. Raises: Full."""
        start = random.randint(self._dynamic, self.last)
        for low, high in ((start, self.last), (self._dynamic, start - 1), (self.first, self._dynamic - 1)):
            for number in range(low, high + 1):
                if not self.taken[number]:
                    return number
        raise Full("range is full")

    def free(self, number: int) -> None:
        self.taken[number] -= 1
        if not self.taken[number]:
            del self.taken[number]


class Held:
    """What one write has chosen so far."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._numbers: list[int] = []

    def take(self, number: int) -> None:
        self._pool.taken[number] += 1
        self._numbers.append(number)

    def let_go(self) -> None:
        for number in self._numbers:
            self._pool.free(number)


class Addresses:
    """The cluster's service addresses (one family) and node ports; `ports` is the first and the last."""

    def __init__(self, services: Table, cidr: str, ports: tuple[int, int]) -> None:
        self.network: IPv4Network | IPv6Network = ip_network(cidr)
        self.family = f"IPv{self.network.version}"
        size = self.network.num_addresses
        first = int(self.network.network_address) + 1
        last = int(self.network.broadcast_address) - (self.network.version == 4)
        self._ips = Pool(first, min(last, first + (1 << 64)), _static(size, 16, 256))
        self._ports = Pool(*ports, _static(ports[1] - ports[0] + 1, 32, 128))
        for entry in services.entries.values():
            self._heard(None, entry)
        services.listen(self._heard)

    @contextmanager
    def allocate(self, service: Object, old: Object | None) -> Iterator[None]:
        """Complete `service` in place with addresses and ports. Raises: Invalid, InternalError."""
        if old is not None:
            _keep_allocated(service["spec"], old["spec"])
        _agree_on_ips(service["spec"], old["spec"] if old else None)
        ips, ports = Held(self._ips), Held(self._ports)
        try:
            self._families(service, old)
            self._cluster_ips(service, old, ips)
            self._node_ports(service, old, ports)
            yield
        finally:
            ips.let_go()
            ports.let_go()

    # ---- addresses

    def _families(self, service: Object, old: Object | None) -> None:
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return
        headless_manual = spec.get("clusterIP") == NONE and not spec.get("selector")
        if not spec.get("ipFamilyPolicy"):
            before = old["spec"].get("ipFamilyPolicy") if old else None
            spec["ipFamilyPolicy"] = before or ("RequireDualStack" if headless_manual else "SingleStack")
        policy = spec["ipFamilyPolicy"]
        wrong: list[Cause] = []
        families: list[str] = spec.setdefault("ipFamilies", [])
        for position, ip in enumerate(spec.get("clusterIPs") or ()):
            if ip == NONE:
                break
            family = _family_of(ip, position)
            if position >= len(families):
                if family != self.family:
                    field = f"spec.clusterIPs[{position}]"
                    wrong.append(
                        causes.invalid(field, spec["clusterIPs"], f"{family} is not configured on this cluster")
                    )
                else:
                    families.append(family)
        if policy == "SingleStack":
            must = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"
            if len(spec.get("clusterIPs") or ()) == 2:
                wrong.append(causes.invalid("spec.ipFamilyPolicy", policy, must.format("cluster IPs")))
            if len(families) == 2:
                wrong.append(causes.invalid("spec.ipFamilyPolicy", policy, must.format("IP families")))
        if not wrong and headless_manual:
            families[:] = families or [self.family]
            if len(families) < 2 and policy != "SingleStack":
                families.append("IPv6" if families[0] == "IPv4" else "IPv4")
            return
        if not wrong:
            if policy == "RequireDualStack":
                why = "this cluster is not configured for dual-stack services"
                wrong.append(causes.invalid("spec.ipFamilyPolicy", policy, why))
            for position, family in enumerate(families):
                if family != self.family:
                    wrong.append(
                        causes.invalid(f"spec.ipFamilies[{position}]", family, "not configured on this cluster")
                    )
        if wrong:
            raise Invalid("", "Service", service["metadata"]["name"], wrong)
        families[:] = families or [self.family]

    def _cluster_ips(self, service: Object, old: Object | None, held: Held) -> None:
        spec = service["spec"]
        ips = spec.get("clusterIPs") or []
        if spec.get("type") == "ExternalName" or ips[:1] == [NONE]:
            return
        if old is not None and old["spec"].get("type") != "ExternalName":
            return
        asked = ips[0] if ips else ""
        if asked:
            try:
                number = int(ip_address(asked))
                self._check_ip(asked, number)
            except (Refused, ValueError) as why:
                cause = causes.invalid("spec.clusterIPs", ips, f"failed to allocate IP {asked}: {why}")
                raise Invalid("", "Service", service["metadata"]["name"], (cause,)) from why
        else:
            try:
                number = self._ips.choose()
            except Full as full:
                name = service["metadata"]["name"]
                raise InternalError(f'failed to allocate a serviceIP for Service "{name}": {full}') from full
        held.take(number)
        spec["clusterIPs"] = [str(self.network.network_address.__class__(number))]
        spec["clusterIP"] = spec["clusterIPs"][0]

    def _check_ip(self, text: str, number: int) -> None:
        if not self._ips.first <= number <= self._ips.last or ip_address(text).version != self.network.version:
            raise Refused(
                f"the provided IP ({text}) is not in the valid range. The range of valid IPs is {self.network}"
            )
        if self._ips.taken[number]:
            raise Refused("provided IP is already allocated")

    # ---- ports

    def _node_ports(self, service: Object, old: Object | None, held: Held) -> None:
        spec = service["spec"]
        had = _numbers(old["spec"]) if old else set()
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._ports_of(service, had, held, is_new=old is None)
        if _needs_health_port(spec) and not (old and _needs_health_port(old["spec"])):
            asked = spec.get("healthCheckNodePort")
            try:
                spec["healthCheckNodePort"] = self._take_port(asked, set(), held)
            except (Refused, Full) as why:
                what = f"requested HealthCheck NodePort {asked}" if asked else "a HealthCheck NodePort 0"
                raise InternalError(f"failed to allocate {what}: {why}") from why

    def _ports_of(self, service: Object, had: set[int], held: Held, *, is_new: bool) -> None:
        spec = service["spec"]
        ports: list[Object] = spec.get("ports") or []
        # A new Service's port over two protocols has one node port for both, whichever of them names it.
        shared = {port["port"]: port["nodePort"] for port in reversed(ports) if port.get("nodePort")} if is_new else {}
        mine: set[int] = set(had)
        for position, port in enumerate(ports):
            asked = port.get("nodePort") or shared.get(port["port"])
            if not asked and spec.get("allocateLoadBalancerNodePorts") is False:
                continue
            try:
                number = self._take_port(asked, mine, held)
            except Refused as why:
                cause = causes.invalid(f"spec.ports[{position}].nodePort", asked, str(why))
                raise Invalid("", "Service", service["metadata"]["name"], (cause,)) from why
            except Full as full:
                raise InternalError(f"failed to allocate a nodePort: {full}") from full
            mine.add(number)
            port["nodePort"] = number
            if is_new:
                shared.setdefault(port["port"], number)

    def _take_port(self, asked: int | None, mine: set[int], held: Held) -> int:
        """The port asked for, or a free one; those in `mine` the Service has already."""
        pool = self._ports
        if asked and asked in mine:
            return asked
        if not asked:
            asked = pool.choose()
        elif not pool.first <= asked <= pool.last:
            valid = f"{pool.first}-{pool.last}"
            raise Refused(f"provided port is not in the valid range. The range of valid ports is {valid}")
        elif pool.taken[asked]:
            raise Refused("provided port is already allocated")
        held.take(asked)
        return asked

    def _heard(self, before: Entry | None, after: Entry | None) -> None:
        for entry, change in ((before, Pool.free), (after, _take)):
            if entry is None:
                continue
            # Not `entry.object`: what is read once here need not stay decoded.
            spec = orjson.loads(entry.raw).get("spec") or {}
            for ip in spec.get("clusterIPs") or ():
                if ip and ip != NONE and _family_of(ip, 0) == self.family:
                    change(self._ips, int(ip_address(ip)))
            for port in _numbers(spec):
                change(self._ports, port)


def _take(pool: Pool, number: int) -> None:
    pool.taken[number] += 1


def _static(size: int, part: int, most: int) -> int:
    """How many of a range's first values are kept for people; upstream's calculateRangeOffset."""
    return 0 if size < 16 else min(max(16, size // part), most)


def _family_of(ip: str, position: int) -> str:
    try:
        return f"IPv{ip_address(ip).version}"
    except ValueError as bad:
        why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        raise Invalid("", "Service", "", (causes.invalid(f"spec.clusterIPs[{position}]", ip, why),)) from bad


def _numbers(spec: Object) -> set[int]:
    numbers = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        numbers.add(spec["healthCheckNodePort"])
    return numbers


def _needs_health_port(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _needs_ports(spec: Object) -> bool:
    type_ = spec.get("type")
    return type_ == "NodePort" or (type_ == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def _agree_on_ips(spec: Object, old: Object | None) -> None:
    """Make clusterIPs follow clusterIP where a client knows only the latter; upstream's normalizeClusterIPs."""
    ip, ips = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if old is None:
        if ip and not ips:
            spec["clusterIPs"] = [ip]
        return
    old_ip, old_ips = old.get("clusterIP") or "", old.get("clusterIPs") or []
    if ip == old_ip:
        if old_ips and not ips:
            spec["clusterIPs"] = list(old_ips)
    elif ips == old_ips:
        if ip:
            spec["clusterIPs"] = [ip]
        else:
            spec.pop("clusterIPs", None)


def _keep_allocated(spec: Object, old: Object) -> None:
    """Fill in what the server once chose and the client left out; upstream's patchAllocatedValues."""
    if "ExternalName" not in (spec.get("type"), old.get("type")):
        for name in ("clusterIP", "clusterIPs"):
            if not spec.get(name) and old.get(name):
                spec[name] = old[name]
    if _needs_ports(spec) and _needs_ports(old):
        used = _numbers(spec) & _numbers(old)
        by_name = {port.get("name", ""): port.get("nodePort") for port in old.get("ports") or ()}
        for port in spec.get("ports") or ():
            number = by_name.get(port.get("name", ""))
            if not port.get("nodePort") and number and number not in used:
                port["nodePort"] = number
    if _needs_health_port(spec) and _needs_health_port(old) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old.get("healthCheckNodePort")
