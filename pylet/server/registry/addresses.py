"""Cluster addresses and node ports of Services: who has which is read from the Services themselves.

One process writes Services, so allocating is race-free when what is being written now counts as taken: `allocate` holds
its choices until the block ends, by when the watch cache has them or the write has failed.
Source: pkg/registry/core/service/storage/{alloc,storage}.go, ipallocator, portallocator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import orjson

from pylet.aio.prometheus import gauge, gauges
from pylet.api import causes
from pylet.api.errors import Cause, InternalError, Invalid
from pylet.api.object import Object
from pylet.api.servicespec import addresses, traffic
from pylet.client.view import Entry, Table
from pylet.server.registry.networks import Networks
from pylet.server.registry.pools import Choices, Full, Held, Pool, Refused, free, static_part, take

NONE = "None"


_ADDRESSES, _PORTS = "kube_apiserver_clusterip_allocator", "kube_apiserver_nodeport_allocator"


class Addresses:
    """The cluster's service addresses and node ports; `ports` is the first and the last."""

    def __init__(self, services: Table, networks: Networks, ports: tuple[int, int]) -> None:
        self._networks = networks
        self._ports = Pool(*ports, static_part(ports[1] - ports[0] + 1, 32, 128))
        self._chosen = Choices(f"{_ADDRESSES}_allocation", ("cidr",))
        self._ports_chosen = Choices(f"{_PORTS}_allocation", ())
        for entry in services.entries.values():
            self._heard(None, entry)
        services.listen(self._heard)

    def metrics(self) -> Iterator[str]:
        used = list(self._networks.used())
        allocated = "Of the range, taken."
        yield from self._chosen.lines()
        yield from self._ports_chosen.lines()
        yield from gauges(
            f"{_ADDRESSES}_allocated_ips", allocated, [({"cidr": cidr}, taken) for cidr, taken, _ in used]
        )
        yield from gauges(f"{_ADDRESSES}_available_ips", "Free.", [({"cidr": cidr}, free) for cidr, _, free in used])
        taken = len(self._ports.taken)
        yield from gauge(f"{_PORTS}_allocated_ports", allocated, {}, taken)
        yield from gauge(f"{_PORTS}_available_ports", "Free.", {}, self._ports.last - self._ports.first + 1 - taken)

    @contextmanager
    def allocate(self, service: Object, old: Object | None, *, dry_run: bool) -> Iterator[None]:
        """Complete `service` in place with addresses and ports. Raises: Invalid, InternalError.

        Upstream's dry run judges a port by who has it alone, and words an address that it has not otherwise.
        """
        if old is not None:
            _keep_allocated(service["spec"], old["spec"])
        _agree_on_ips(service["spec"], old["spec"] if old else None)
        held = Held(dry_run=dry_run)
        try:
            if old is None or not _keeps_preferred(service["spec"], old["spec"]):
                self._families(service, old)
                self._cluster_ips(service, old, held)
            self._node_ports(service, old, held)
            yield
        finally:
            held.let_go()

    # ---- addresses

    def _families(self, service: Object, old: Object | None) -> None:
        """Source: initIPFamilyFields."""
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return
        headless_manual = spec.get("clusterIP") == NONE and not spec.get("selector")
        if not spec.get("ipFamilyPolicy"):
            before = old["spec"].get("ipFamilyPolicy") if old else None
            spec["ipFamilyPolicy"] = before or ("RequireDualStack" if headless_manual else "SingleStack")
        policy = spec["ipFamilyPolicy"]
        name = service["metadata"].get("name", "")
        if wrong := addresses.validate(spec):
            raise Invalid("", "Service", name, wrong)
        wrong = _downgraded(spec, old["spec"]) if old else []
        families: list[str] = spec.setdefault("ipFamilies", [])
        wrong += self._inferred(spec, families)
        if not wrong and headless_manual:
            families[:] = families or [self._networks.families[0]]
            if len(families) < 2 and policy != "SingleStack":
                families.append(_other(families[0]))
            return
        if not wrong:
            if policy == "RequireDualStack" and len(self._networks.families) < 2:
                why = "this cluster is not configured for dual-stack services"
                wrong.append(causes.invalid("spec.ipFamilyPolicy", policy, why))
            for position, family in enumerate(families):
                if family not in self._networks.families:
                    wrong.append(
                        causes.invalid(f"spec.ipFamilies[{position}]", family, "not configured on this cluster")
                    )
        if wrong:
            raise Invalid("", "Service", name, wrong)
        families[:] = families or [self._networks.families[0]]
        if policy != "SingleStack" and len(families) == 1 and len(self._networks.families) == 2:
            families.append(_other(families[0]))

    def _inferred(self, spec: Object, families: list[str]) -> list[Cause]:
        """Families that cluster IPs name are added; how that goes wrong, and what one family alone forbids."""
        wrong: list[Cause] = []
        policy, ips = spec["ipFamilyPolicy"], spec.get("clusterIPs") or ()
        if policy == "SingleStack":
            must = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"
            if len(ips) == 2:
                wrong.append(causes.invalid("spec.ipFamilyPolicy", policy, must.format("cluster IPs")))
            if len(families) == 2:
                wrong.append(causes.invalid("spec.ipFamilyPolicy", policy, must.format("IP families")))
        for position, ip in enumerate(ips):
            if ip == NONE:
                break
            if position < len(families):
                continue
            family = f"IPv{ip_address(ip).version}"
            if family in self._networks.families:
                families.append(family)
            else:
                why = f"{family} is not configured on this cluster"
                wrong.append(causes.invalid(f"spec.clusterIPs[{position}]", ips, why))
        return wrong

    def _cluster_ips(self, service: Object, old: Object | None, held: Held) -> None:
        """Addresses for a new Service, for one that becomes other than ExternalName, or for its second family."""
        spec = service["spec"]
        ips = list(spec.get("clusterIPs") or ())
        if spec.get("type") == "ExternalName" or ips[:1] == [NONE]:
            return
        families = spec["ipFamilies"]
        missing = range(len(families))
        if old is not None and old["spec"].get("type") != "ExternalName":
            had = old["spec"]
            if (had.get("clusterIPs") or [])[:1] == [NONE] or len(had.get("ipFamilies") or ()) >= len(families):
                return
            missing = range(1, len(families))
        for position in missing:
            ips += [""] * (position + 1 - len(ips))
            ips[position] = self._address(service, families[position], ips[position], held)
        spec["clusterIPs"] = ips
        spec["clusterIP"] = ips[0]

    def _address(self, service: Object, family: str, asked: str, held: Held) -> str:
        name = service["metadata"].get("name", "")
        if asked:
            try:
                self._networks.check(asked, dry_run=held.dry_run)
            except (Refused, ValueError) as why:
                if isinstance(why, Refused) and not held.dry_run and (cidr := self._networks.of(asked)):
                    self._chosen.refused(cidr, is_asked_for=True)
                ips = service["spec"].get("clusterIPs")
                cause = causes.invalid("spec.clusterIPs", ips, f"failed to allocate IP {asked}: {why}")
                raise Invalid("", "Service", name, (cause,)) from why
            ip = asked
        else:
            try:
                ip = self._networks.choose(family)
            except Full as full:
                if not held.dry_run:
                    self._chosen.refused(self._networks.last(family), is_asked_for=False)
                raise InternalError(f'failed to allocate a serviceIP for Service "{name}": {full}') from full
        held.take(*self._networks.place(ip))
        if not held.dry_run:
            self._chosen.made(self._networks.of(ip), is_asked_for=bool(asked))
        return ip

    # ---- ports

    def _node_ports(self, service: Object, old: Object | None, held: Held) -> None:
        spec = service["spec"]
        had = _numbers(old["spec"]) if old else set()
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._ports_of(service, had, held, is_new=old is None)
        if traffic.has_health_check(spec) and not (old and traffic.has_health_check(old["spec"])):
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
                raise Invalid("", "Service", service["metadata"].get("name", ""), (cause,)) from why
            except Full as full:
                raise InternalError(f"failed to allocate a nodePort: {full}") from full
            mine.add(number)
            port["nodePort"] = number
            if is_new:
                shared.setdefault(port["port"], number)

    def _take_port(self, asked: int | None, mine: set[int], held: Held) -> int:
        """The port asked for, or a free one; those in `mine` the Service has already."""
        if asked and asked in mine:
            return asked
        try:
            port = self._ports.choose() if not asked else self._checked(asked, held)
        except (Refused, Full):
            if not held.dry_run:
                self._ports_chosen.refused(is_asked_for=bool(asked))
            raise
        held.take(self._ports.taken, port)
        if not held.dry_run:
            self._ports_chosen.made(is_asked_for=bool(asked))
        return port

    def _checked(self, port: int, held: Held) -> int:
        """Raises: Refused."""
        pool = self._ports
        if not held.dry_run and not pool.first <= port <= pool.last:
            valid = f"{pool.first}-{pool.last}"
            raise Refused(f"provided port is not in the valid range. The range of valid ports is {valid}")
        if pool.taken[port]:
            raise Refused("provided port is already allocated")
        return port

    def _heard(self, before: Entry | None, after: Entry | None) -> None:
        for entry, change in ((before, free), (after, take)):
            if entry is None:
                continue
            # Not `entry.object`: what is read once here need not stay decoded.
            spec = orjson.loads(entry.raw).get("spec") or {}
            for ip in spec.get("clusterIPs") or ():
                if ip and ip != NONE:
                    change(*self._networks.place(ip))
            for port in _numbers(spec):
                change(self._ports.taken, port)


def _other(family: str) -> str:
    return "IPv6" if family == "IPv4" else "IPv4"


def _keeps_preferred(spec: Object, old: Object) -> bool:
    """A Service that prefers two families stays as it is when the cluster gains or loses one, unless it is changed;
    upstream's isMatchingPreferDualStackClusterIPFields."""
    prefers = {spec.get("ipFamilyPolicy"), old.get("ipFamilyPolicy")} == {"PreferDualStack"}
    same = all(spec.get(name) == old.get(name) for name in ("clusterIPs", "ipFamilies"))
    return prefers and same and old.get("type") != "ExternalName"


def _downgraded(spec: Object, old: Object) -> list[Cause]:
    """To one family by saying so: the second address goes. Saying less without saying so is refused."""
    policy = spec["ipFamilyPolicy"]
    wrong: list[Cause] = []
    for name, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        now, before = spec.get(name) or [], old.get(name) or []
        if policy == "SingleStack":
            if now == before and len(now) > 1:
                spec[name] = now[:1]
        elif len(before) == 2 and len(now) == 1 and now[0] == before[0]:
            must = f"must be 'SingleStack' to release the secondary {what}"
            wrong.append(causes.invalid("spec.ipFamilyPolicy", policy, must))
    return wrong


def _numbers(spec: Object) -> set[int]:
    numbers = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        numbers.add(spec["healthCheckNodePort"])
    return numbers


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
    if traffic.has_health_check(spec) and traffic.has_health_check(old) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old.get("healthCheckNodePort")
