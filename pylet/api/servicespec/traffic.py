"""How a Service's traffic comes in, from load balancers too, and which endpoints it goes to."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.ip import network_problems_of, problems_of
from pylet.api.object import Object, annotations_of, dig
from pylet.api.servicespec.addresses import SET_ONCE

_AFFINITIES = ("ClientIP", "None")
_IP_MODES = ("Proxy", "VIP")
_TRAFFIC = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_DAY_SECONDS = 86400
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"


def is_external(spec: Object) -> bool:
    """Whether others than pods can reach it at all."""
    return spec.get("type") in ("NodePort", "LoadBalancer") or (
        spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def has_health_check(spec: Object) -> bool:
    """Whether load balancers ask its nodes, at a port for that, whether they have endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def validate_affinity(spec: Object) -> list[Cause]:
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


def validate(spec: Object) -> list[Cause]:
    return [*_load_balancer(spec), *_policies(spec)]


def validate_annotation(service: Object) -> list[Cause]:
    """The networks that an old annotation names, where the field names none."""
    annotated, spec = annotations_of(service).get(_RANGES), service["spec"]
    if annotated is None or spec.get("loadBalancerSourceRanges"):
        return []
    where = f"metadata.annotations[{_RANGES}]"
    found = [] if spec.get("type") == "LoadBalancer" else [causes.forbidden(where, _ONLY_BALANCED)]
    for cidr in annotated.split(",") if annotated.strip() else ():
        found += causes.each(where, cidr.strip(), network_problems_of(cidr.strip()))
    return found


def _load_balancer(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    ranges = spec.get("loadBalancerSourceRanges") or ()
    balances = spec.get("type") == "LoadBalancer"
    if ranges and not balances:
        found.append(causes.forbidden("spec.LoadBalancerSourceRanges", _ONLY_BALANCED))
    for position, cidr in enumerate(ranges):
        where = f"spec.LoadBalancerSourceRanges[{position}]"
        found += causes.each(where, cidr.strip(), network_problems_of(cidr.strip()))
    for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if field in spec and not balances:
            found.append(causes.forbidden(f"spec.{field}", _ONLY_BALANCED))
    if balances and (name := spec.get("loadBalancerClass")) is not None:
        found += causes.each("spec.loadBalancerClass", name, names.qualified_name(name))
    return found


def _policies(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    external, internal = spec.get("externalTrafficPolicy", ""), spec.get("internalTrafficPolicy")
    if not is_external(spec):
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


def validate_update(spec: Object, old: Object) -> list[Cause]:
    now, before = spec.get("loadBalancerClass"), old.get("loadBalancerClass")
    if {spec.get("type"), old.get("type")} != {"LoadBalancer"} or now == before:
        return []
    return [causes.invalid("spec.loadBalancerClass", now, SET_ONCE)]


def validate_status(service: Object) -> Iterator[Cause]:
    """Source: ValidateLoadBalancerStatus."""
    at, ingresses = "status.loadBalancer.ingress", dig(service, "status", "loadBalancer", "ingress", default=())
    if ingresses and service["spec"].get("type") != "LoadBalancer":
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
