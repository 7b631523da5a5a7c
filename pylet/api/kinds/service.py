"""Services. Addresses and node ports are handed out by the registry's allocator; here is what they must look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, golang, names
from pylet.api.errors import Cause
from pylet.api.ip import address_warnings, endpoint_problems_of, network_problems_of, network_warnings, problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig
from pylet.api.podspec.probes import validate_port

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_AFFINITIES = ("ClientIP", "None")
_IP_MODES = ("Proxy", "VIP")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_TRAFFIC = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_DAY_SECONDS = 86400
_HINTS = "service.kubernetes.io/topology-aware-hints"
_SET_ONCE = "may not change once set"


class ServiceStrategy(Strategy):
    """Source: pkg/registry/core/service/strategy.go; validation.go, ValidateService and ValidateServiceUpdate."""

    has_status = True

    def name_problems(self, name: str) -> Sequence[str]:
        return names.dns_label(name)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"loadBalancer": {}}
        _drop_internal_policy(obj["spec"])

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        if not subresource:
            _drop_other_types_fields(obj, old)
            _drop_internal_policy(obj["spec"])

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        type_ = spec.get("type", "")
        found = [] if type_ in _TYPES else [causes.not_supported("spec.type", type_, _TYPES)]
        if not spec.get("ports") and not _is_headless(spec) and type_ != "ExternalName":
            found.append(causes.required("spec.ports"))
        if type_ in ("LoadBalancer", "NodePort") and _is_headless(spec):
            says = f"may not be set to 'None' for {type_} services"
            found.append(causes.invalid("spec.clusterIPs[0]", "None", says))
        found += _external_name(spec) if type_ == "ExternalName" else validate_cluster_ips(spec)
        found += _ports(spec)
        for key, value in (spec.get("selector") or {}).items():
            found += causes.each("spec.selector", key, names.qualified_name(key))
            found += causes.each("spec.selector", value, names.label_value(value))
        found += _affinity(spec)
        for position, ip in enumerate(spec.get("externalIPs") or ()):
            at = f"spec.externalIPs[{position}]"
            found += causes.each(at, ip, problems_of(ip) or endpoint_problems_of(ip))
        found += _load_balancer(spec)
        found += _traffic(spec)
        return found

    def warnings(self, obj: Object) -> Sequence[str]:
        return list(_odd(obj))

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return list(_balanced(dig(obj, "status", "loadBalancer", "ingress", default=()), obj["spec"].get("type")))
        return [*_changed_ips(obj["spec"], old["spec"]), *_changed_class(obj["spec"], old["spec"]), *self.validate(obj)]


def _balanced(ingresses: Sequence[Object], type_: str) -> Iterator[Cause]:
    """Source: validation.go, ValidateLoadBalancerStatus."""
    at = "status.loadBalancer.ingress"
    if ingresses and type_ != "LoadBalancer":
        yield causes.forbidden(at, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for position, ingress in enumerate(ingresses):
        where, ip, mode = f"{at}[{position}]", ingress.get("ip", ""), ingress.get("ipMode")
        yield from causes.each(f"{where}.ip", ip, problems_of(ip) if ip else ())
        if mode is None and ip:
            yield causes.required(f"{where}.ipMode", "must be specified when `ip` is set")
        elif mode is not None and not ip:
            yield causes.forbidden(f"{where}.ipMode", "may not be specified when `ip` is not set")
        elif mode is not None and mode not in _IP_MODES:
            yield causes.not_supported(f"{where}.ipMode", mode, _IP_MODES)
        if host := ingress.get("hostname", ""):
            yield from causes.each(f"{where}.hostname", host, names.dns_subdomain(host))
            if not problems_of(host):
                yield causes.invalid(f"{where}.hostname", host, "must be a DNS name, not an IP address")


def _changed_class(spec: Object, old: Object) -> list[Cause]:
    now, before = spec.get("loadBalancerClass"), old.get("loadBalancerClass")
    if {spec.get("type"), old.get("type")} != {"LoadBalancer"} or now == before:
        return []
    return [causes.invalid("spec.loadBalancerClass", now, _SET_ONCE)]


def _odd(service: Object) -> Iterator[str]:
    """Source: pkg/api/service/warnings.go."""
    spec = service["spec"]
    if _HINTS in (service["metadata"].get("annotations") or {}):
        yield f"annotation {_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
    if spec.get("clusterIP") not in (None, "", "None"):
        for position, ip in enumerate(spec.get("clusterIPs") or ()):
            yield from address_warnings(f"spec.clusterIPs[{position}]", ip)
    external, type_ = spec.get("externalIPs") or (), spec.get("type")
    is_headless = type_ == "ClusterIP" and spec.get("clusterIP") == "None"
    if is_headless:
        for name in ("loadBalancerIP", "externalIPs"):
            if spec.get(name):
                yield f"spec.{name} is ignored for headless services"
        if spec.get("sessionAffinity") != "None":
            yield "spec.SessionAffinity is ignored for headless services"
    for position, ip in enumerate(external):
        yield from address_warnings(f"spec.externalIPs[{position}]", ip)
    if external and not is_headless and type_ != "ExternalName":
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    yield from address_warnings("spec.loadBalancerIP", spec.get("loadBalancerIP", ""))
    for position, network in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        yield from network_warnings(f"spec.loadBalancerSourceRanges[{position}]", network)
    if type_ == "ExternalName" and external:
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if type_ != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def _is_headless(spec: Object) -> bool:
    return (spec.get("clusterIPs") or [""])[0] == "None" or spec.get("clusterIP") == "None"


def _is_external(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer") or (
        spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def _drop_other_types_fields(obj: Object, old: Object) -> None:
    """What only the former type needed goes, unless the client said something about it."""
    spec, before = obj["spec"], old["spec"]

    def drop_unchanged(*fields: str) -> None:
        for field in fields:
            if spec.get(field) == before.get(field):
                spec.pop(field, None)

    type_, was = spec.get("type"), before.get("type")
    if was != "ExternalName" and type_ == "ExternalName":
        if spec.get("clusterIPs", before.get("clusterIPs")) == before.get("clusterIPs"):
            spec.pop("clusterIPs", None)
            spec.pop("clusterIP", None)
        drop_unchanged("ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
    with_ports = ("NodePort", "LoadBalancer")
    if was in with_ports and type_ not in with_ports and _node_ports(spec) <= _node_ports(before):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if was == "LoadBalancer" and type_ != "LoadBalancer":
        drop_unchanged("allocateLoadBalancerNodePorts", "loadBalancerClass")
    if has_health_check(before) and not has_health_check(spec):
        drop_unchanged("healthCheckNodePort")
    if _is_external(before) and not _is_external(spec):
        drop_unchanged("externalTrafficPolicy")
    if type_ != "LoadBalancer":
        obj["status"] = {**obj.get("status", {}), "loadBalancer": {}}


def _drop_internal_policy(spec: Object) -> None:
    """Source: pkg/registry/core/service/storage/storage.go, defaultOnReadInternalTrafficPolicy."""
    if spec.get("type") == "ExternalName":
        spec.pop("internalTrafficPolicy", None)


def _node_ports(spec: Object) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def has_health_check(spec: Object) -> bool:
    """Whether load balancers ask its nodes, at a port for that, whether they have endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _external_name(spec: Object) -> list[Cause]:
    unfit = [field for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy") if spec.get(field)]
    found = [causes.forbidden(f"spec.{field}", "may not be set for ExternalName services") for field in unfit]
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        return [*found, causes.required("spec.externalName")]
    return [*found, *causes.each("spec.externalName", name, names.dns_subdomain(name))]


def validate_cluster_ips(spec: Object) -> list[Cause]:
    """The addresses and their families, of a Service of any type but ExternalName."""
    found: list[Cause] = []
    ip, ips, families = spec.get("clusterIP", ""), spec.get("clusterIPs") or [], spec.get("ipFamilies") or []
    where = "spec.clusterIPs"
    if ip and not ips:
        found.append(causes.required(where))
    elif ip and ips[0] != ip:
        found.append(causes.invalid(where, ips, "first value must match `clusterIP`"))
    elif ips and not ip:
        found.append(causes.invalid(where, ips, "must be empty when `clusterIP` is not specified"))
    found += _families(families, spec.get("ipFamilyPolicy"))
    wrong: list[Cause] = []
    for position, one in enumerate(ips):
        if one == "None" and position == 0:
            if len(ips) > 1:
                wrong.append(causes.invalid(where, ips, "'None' must be the first and only value"))
        else:
            wrong += causes.each(f"{where}[{position}]", one, problems_of(one))
    found += wrong
    if len(ips) > 2:
        found.append(causes.invalid(where, ips, "may only hold up to 2 values"))
    if wrong or ips[:1] == ["None"]:
        return found
    if (len(ips) > 1 and len({":" in one for one in ips}) < 2) or len(ips) > 2:
        found.append(causes.invalid(where, ips, "may specify no more than one IP for each IP family"))
    for position, (one, family) in enumerate(zip(ips, families, strict=False)):
        if family in _FAMILIES and (":" in one) != (family == "IPv6"):
            says = f"expected an {family} value as indicated by `ipFamilies[{position}]`"
            found.append(causes.invalid(f"{where}[{position}]", one, says))
    return found


def _families(families: list[str], policy: str | None) -> list[Cause]:
    found: list[Cause] = []
    for position, family in enumerate(families):
        if family not in _FAMILIES:
            found.append(causes.not_supported(f"spec.ipFamilies[{position}]", family, _FAMILIES))
        if family in families[:position]:
            found.append(causes.duplicate(f"spec.ipFamilies[{position}]", family))
    if policy is not None and policy not in _FAMILY_POLICIES:
        found.append(causes.not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES))
    return found


def _ports(spec: Object) -> list[Cause]:
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


def _affinity(spec: Object) -> list[Cause]:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    where = "spec.sessionAffinityConfig"
    if affinity not in _AFFINITIES:
        return [causes.not_supported("spec.sessionAffinity", affinity, _AFFINITIES)]
    if affinity == "None":
        says = "must not be set when session affinity is None"
        return [] if config is None else [causes.forbidden(where, says)]
    seconds = dig(config, "clientIP", "timeoutSeconds", default=0)
    if 0 < seconds <= _DAY_SECONDS:
        return []
    says = f"must be greater than 0 and less than {_DAY_SECONDS}"
    return [causes.invalid(f"{where}.clientIP.timeoutSeconds", seconds, says)]


def _load_balancer(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    ranges = spec.get("loadBalancerSourceRanges") or ()
    balances = spec.get("type") == "LoadBalancer"
    only = "may only be used when `type` is 'LoadBalancer'"
    if ranges and not balances:
        found.append(causes.forbidden("spec.LoadBalancerSourceRanges", only))
    for position, cidr in enumerate(ranges):
        where = f"spec.LoadBalancerSourceRanges[{position}]"
        found += causes.each(where, cidr.strip(), network_problems_of(cidr.strip()))
    for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if field in spec and not balances:
            found.append(causes.forbidden(f"spec.{field}", only))
    if balances and (name := spec.get("loadBalancerClass")) is not None:
        found += causes.each("spec.loadBalancerClass", name, names.qualified_name(name))
    return found


def _traffic(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    external, internal = spec.get("externalTrafficPolicy", ""), spec.get("internalTrafficPolicy")
    if not _is_external(spec):
        if external:
            says = "may only be set for externally-accessible services"
            found.append(causes.invalid("spec.externalTrafficPolicy", external, says))
    elif external not in _TRAFFIC:
        found.append(causes.not_supported("spec.externalTrafficPolicy", external, _TRAFFIC))
    if spec.get("healthCheckNodePort") and not has_health_check(spec):
        says = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found.append(causes.invalid("spec.healthCheckNodePort", spec["healthCheckNodePort"], says))
    if internal is not None and internal not in _TRAFFIC:
        found.append(causes.not_supported("spec.internalTrafficPolicy", internal, _TRAFFIC))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        found.append(causes.not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))
    return found


def _changed_ips(spec: Object, old: Object) -> list[Cause]:
    """A Service keeps its addresses for as long as it has any: validateUpgradeDowngradeClusterIPs."""
    if "ExternalName" in (spec.get("type"), old.get("type")) or (_is_headless(spec) and _is_headless(old)):
        return []
    ips, before = spec.get("clusterIPs") or [], old.get("clusterIPs") or []
    if before and not ips:
        return [causes.invalid("spec.clusterIPs[0]", ips, "primary clusterIP can not be unset")]
    return [
        causes.invalid(f"spec.clusterIPs[{position}]", ips, _SET_ONCE)
        for position, (ip, was) in enumerate(zip(ips, before, strict=False))
        if ip != was
    ]


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    ports = [
        f"{port.get('port')}:{port['nodePort']}/{port.get('protocol')}"
        if port.get("nodePort")
        else f"{port.get('port')}/{port.get('protocol')}"
        for port in spec.get("ports") or ()
    ]
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        (spec.get("clusterIPs") or ["<none>"])[0],
        _external_ip(obj),
        ",".join(ports) or "<none>",
        columns.age(obj, now),
        columns.labels_cell(spec.get("selector")),
    ]


def _external_ip(obj: Object) -> str:
    spec = obj["spec"]
    given = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(given) or "<none>"
        case "LoadBalancer":
            ingresses = dig(obj, "status", "loadBalancer", "ingress", default=())
            balanced = sorted({ingress.get("ip") or ingress.get("hostname", "") for ingress in ingresses} - {""})
            return ",".join([*balanced, *given]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return columns.UNKNOWN


KIND = Kind(
    group="",
    version="v1",
    name="Service",
    plural="services",
    definition="io.k8s.api.core.v1.Service",
    short_names=("svc",),
    categories=("all",),
    subresources=("proxy", "status"),
    strategy=ServiceStrategy(),
    columns=(
        columns.NAME,
        Column("Type", description="How the Service is exposed."),
        Column("Cluster-IP", description="The Service's address inside the cluster."),
        Column("External-IP", description="Addresses outside the cluster at which the Service answers."),
        Column("Port(s)", description="The ports the Service answers on."),
        columns.AGE,
        columns.SELECTOR,
    ),
    cells=_cells,
    fields={
        "spec.clusterIP": lambda obj: obj["spec"].get("clusterIP", ""),
        "spec.type": lambda obj: obj["spec"].get("type", ""),
    },
)
