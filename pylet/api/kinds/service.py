"""Services. Addresses and node ports are handed out by the registry's allocator; here is what they must look like."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.ip import endpoint_problems_of, problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig
from pylet.api.servicespec import addresses, ports, traffic, warnings

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


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
        if not spec.get("ports") and not addresses.is_headless(spec) and type_ != "ExternalName":
            found.append(causes.required("spec.ports"))
        if type_ in ("LoadBalancer", "NodePort") and addresses.is_headless(spec):
            says = f"may not be set to 'None' for {type_} services"
            found.append(causes.invalid("spec.clusterIPs[0]", "None", says))
        found += addresses.validate_name(spec) if type_ == "ExternalName" else addresses.validate(spec)
        found += ports.validate(spec)
        for key, value in (spec.get("selector") or {}).items():
            found += causes.each("spec.selector", key, names.qualified_name(key))
            found += causes.each("spec.selector", value, names.label_value(value))
        found += traffic.validate_affinity(spec)
        for position, ip in enumerate(spec.get("externalIPs") or ()):
            at = f"spec.externalIPs[{position}]"
            found += causes.each(at, ip, problems_of(ip) or endpoint_problems_of(ip))
        return [*found, *traffic.validate(spec), *traffic.validate_annotation(obj)]

    def warnings(self, obj: Object) -> Sequence[str]:
        return list(warnings.of(obj))

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return list(traffic.validate_status(obj))
        spec, before = obj["spec"], old["spec"]
        return [*addresses.validate_update(spec, before), *traffic.validate_update(spec, before), *self.validate(obj)]


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
    if traffic.has_health_check(before) and not traffic.has_health_check(spec):
        drop_unchanged("healthCheckNodePort")
    if traffic.is_external(before) and not traffic.is_external(spec):
        drop_unchanged("externalTrafficPolicy")
    if type_ != "LoadBalancer":
        obj["status"] = {**obj.get("status", {}), "loadBalancer": {}}


def _drop_internal_policy(spec: Object) -> None:
    """Source: pkg/registry/core/service/storage/storage.go, defaultOnReadInternalTrafficPolicy."""
    if spec.get("type") == "ExternalName":
        spec.pop("internalTrafficPolicy", None)


def _node_ports(spec: Object) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


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
