"""Ingresses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.ip import problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig
from pylet.api.references import validate_reference

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_ENDS = ("/..", "/.")


class IngressStrategy(Strategy):
    """Source: pkg/apis/networking/validation, ValidateIngress*."""

    has_status = True
    has_generation = True

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        obj["status"] = {"loadBalancer": {}}

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = _spec(obj["spec"], secrets_checked=True)
        annotation = (obj["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
        if annotation is not None and obj["spec"].get("ingressClassName", annotation) != annotation:
            says = "must match `ingressClassName` when both are specified"
            found.append(causes.invalid(f"annotations.{_CLASS_ANNOTATION}", annotation, says))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return _status(obj, old)
        had_bad_secret = any(_secret(tls) for tls in old["spec"].get("tls") or ())
        return _spec(obj["spec"], secrets_checked=not had_bad_secret)

    def warnings(self, obj: Object) -> Sequence[str]:
        annotated = _CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {})
        if not annotated or "ingressClassName" in obj["spec"]:
            return ()
        return (f"annotation \"{_CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead",)


def _spec(spec: Object, *, secrets_checked: bool) -> list[Cause]:
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    found: list[Cause] = []
    if not rules and backend is None:
        says = "either `defaultBackend` or `rules` must be specified"
        found.append(causes.invalid("spec", spec.get("rules"), says))
    if backend is not None:
        found += _backend(backend, "spec.defaultBackend")
    for position, rule in enumerate(rules):
        found += _rule(rule, f"spec.rules[{position}]")
    for position, tls in enumerate(spec.get("tls") or ()):
        where = f"spec.tls[{position}]"
        for index, host in enumerate(tls.get("hosts") or ()):
            found += _host(host, f"{where}.hosts[{index}]")
        if secrets_checked:
            found += causes.each(f"{where}.secretName", tls.get("secretName"), _secret(tls))
    name = spec.get("ingressClassName")
    if name is not None:
        found += causes.each("spec.ingressClassName", name, names.dns_subdomain(name))
    return found


def _secret(tls: Object) -> names.Problems:
    name = tls.get("secretName", "")
    return names.dns_subdomain(name) if name else ()


def _host(host: str, field: str) -> list[Cause]:
    check = names.wildcard_subdomain if "*" in host else names.dns_subdomain
    return causes.each(field, host, check(host))


def _rule(rule: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    host = rule.get("host")
    if host:
        if not problems_of(host):
            found.append(causes.invalid(f"{where}.host", host, "must be a DNS name, not an IP address"))
        found += _host(host, f"{where}.host")
    http = rule.get("http")
    if http is None:
        return found
    if not http.get("paths"):
        found.append(causes.required(f"{where}.http.paths"))
    for position, path in enumerate(http.get("paths") or ()):
        found += _path(path, f"{where}.http.paths[{position}]")
    return found


def _path(path: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    type_, text = path.get("pathType"), path.get("path", "")
    if type_ is None:
        return [causes.required(f"{where}.pathType", "pathType must be specified")]
    if type_ not in _PATH_TYPES:
        found.append(causes.not_supported(f"{where}.pathType", type_, _PATH_TYPES))
    elif not text.startswith("/") and (text or type_ != "ImplementationSpecific"):
        found.append(causes.invalid(f"{where}.path", text, "must be an absolute path"))
    if type_ in ("Exact", "Prefix"):
        for part in _NOT_IN_PATHS:
            if part in text:
                found.append(causes.invalid(f"{where}.path", text, f"must not contain '{part}'"))
        for end in _NOT_AT_ENDS:
            if text.endswith(end):
                found.append(causes.invalid(f"{where}.path", text, f"cannot end with '{end}'"))
    return [*found, *_backend(path["backend"], f"{where}.backend")]


def _backend(backend: Object, where: str) -> list[Cause]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [causes.invalid(where, "", "cannot set both resource and service backends")]
    if resource is not None:
        return validate_reference(resource, f"{where}.resource")
    if service is None:
        return [causes.invalid(where, "", "resource or service backend is required")]
    name, port = service.get("name", ""), service.get("port") or {}
    found = causes.each(f"{where}.service.name", name, names.dns_label(name)) if name else []
    if not name:
        found.append(causes.required(f"{where}.service.name"))
    if port.get("name") and port.get("number"):
        found.append(causes.invalid(where, "", "cannot set both port name & port number"))
    elif port.get("name"):
        found += causes.each(f"{where}.service.port.name", port["name"], names.port_name(port["name"]))
    elif port.get("number"):
        found += causes.each(f"{where}.service.port.number", port["number"], names.port_number(port["number"]))
    else:
        found.append(causes.required(where, "port name or number is required"))
    return found


def _status(obj: Object, old: Object) -> list[Cause]:
    found: list[Cause] = []
    before = {one.get("ip") for one in dig(old, "status", "loadBalancer", "ingress", default=())}
    for position, ingress in enumerate(dig(obj, "status", "loadBalancer", "ingress", default=())):
        where, ip, host = f"status.loadBalancer.ingress[{position}]", ingress.get("ip"), ingress.get("hostname")
        if ip and ip not in before:
            found += causes.each(f"{where}.ip", ip, problems_of(ip))
        if host:
            found += causes.each(f"{where}.hostname", host, names.dns_subdomain(host))
            if not problems_of(host):
                found.append(causes.invalid(f"{where}.hostname", host, "must be a DNS name, not an IP address"))
    return found


_SHOWN_HOSTS = 3


def _hosts(rules: list[Object]) -> str:
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    if not hosts:
        return "*"
    shown = ",".join(hosts[:_SHOWN_HOSTS])
    return f"{shown} + {len(rules) - _SHOWN_HOSTS} more..." if len(hosts) > _SHOWN_HOSTS else shown


def _addresses(obj: Object) -> str:
    ingress = dig(obj, "status", "loadBalancer", "ingress", default=())
    return ",".join(sorted({one.get("ip") or one.get("hostname") for one in ingress} - {None, ""}))


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("ingressClassName") or "<none>",
        _hosts(spec.get("rules") or []),
        _addresses(obj),
        "80, 443" if spec.get("tls") else "80",
        columns.age(obj, now),
    ]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="Ingress",
    plural="ingresses",
    definition="io.k8s.api.networking.v1.Ingress",
    short_names=("ing",),
    subresources=("status",),
    strategy=IngressStrategy(),
    columns=(
        columns.NAME,
        Column("Class", description="The IngressClass that serves it."),
        Column("Hosts", description="The hosts it matches."),
        Column("Address", description="Where it is reached."),
        Column("Ports", description="The ports it opens."),
        columns.AGE,
    ),
    cells=_cells,
)
