"""What a Service's author is warned of. Source: pkg/api/service/warnings.go."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.ip import address_warnings, network_warnings
from pylet.api.object import Object

_HINTS = "service.kubernetes.io/topology-aware-hints"


def of(service: Object) -> Iterator[str]:
    spec = service["spec"]
    if _HINTS in (service["metadata"].get("annotations") or {}):
        yield f"annotation {_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
    if spec.get("clusterIP") not in (None, "", "None"):
        for position, ip in enumerate(spec.get("clusterIPs") or ()):
            yield from address_warnings(f"spec.clusterIPs[{position}]", ip)
    external, type_ = spec.get("externalIPs") or (), spec.get("type")
    is_headless = type_ == "ClusterIP" and spec.get("clusterIP") == "None"
    if is_headless:
        yield from _of_headless(spec)
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


def _of_headless(spec: Object) -> Iterator[str]:
    for name in ("loadBalancerIP", "externalIPs"):
        if spec.get(name):
            yield f"spec.{name} is ignored for headless services"
    if spec.get("sessionAffinity") != "None":
        yield "spec.SessionAffinity is ignored for headless services"
