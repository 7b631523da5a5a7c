"""Services and Ingresses. Source: kubectl `create_service.go`, `create_ingress.go`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pylet.api import names
from pylet.api.causes import quoted
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import many, number, text
from pylet.cli.kubectl.creating.maker import Maker, Request, obj, required, words

_MOST_PORTS = 65535
_RULE = re.compile(r"[\w*.-]*/.*=[\w-]+:[\w-]+(,tls=?([\w-]+)?)?", re.ASCII)
_NO_RULE = (
    "not enough information provided: every ingress has to either specify a default-backend (which catches all "
    "traffic) or a list of rules (which catch specific paths)"
)


def _service(type_: str) -> Callable[[Request], Object]:
    def build(request: Request) -> Object:
        options = request.options
        ports = [_port(pair, options.get("node_port", 0)) for pair in words(options["tcp"])]
        if not ports and type_ != "ExternalName" and options.get("clusterip") != "None":
            raise Failure("error: at least one tcp port specifier must be provided")
        labels = {"app": request.name}
        spec: Object = {"selector": labels, "type": type_}
        if ports:
            spec["ports"] = ports
        if options.get("clusterip"):
            spec["clusterIP"] = options["clusterip"]
        if type_ == "ExternalName":
            required(request, "external-name")
            spec["externalName"] = options["external_name"]
        return obj("v1", "Service", request.name, labels=labels, spec=spec, status={"loadBalancer": {}})

    return build


def _port(pair: str, node_port: int) -> Object:
    """Of `PORT[:TARGET]`. Raises: Failure."""
    port, *targets = pair.split(":")
    number_ = _parsed(port)
    made: Object = {"name": pair.replace(":", "-"), "port": number_, "protocol": "TCP"}
    made["targetPort"] = _target(targets[0]) if targets else number_
    return {**made, "nodePort": node_port} if node_port else made


def _parsed(port: str) -> int:
    if not (port.isascii() and port.isdigit()):
        raise Failure(f"error: strconv.ParseUint: parsing {quoted(port)}: invalid syntax")
    if int(port) > _MOST_PORTS:
        raise Failure(f"error: strconv.ParseUint: parsing {quoted(port)}: value out of range")
    return int(port)


def _target(text_: str) -> int | str:
    try:
        target: int | str = int(text_)
    except ValueError:
        target = text_
    problems = names.port_number(target) if isinstance(target, int) else names.port_name(target)
    if problems:
        raise Failure(f"error: {','.join(problems)}")
    return target


def _ingress(request: Request) -> Object:
    options = request.options
    if not options["rule"] and not options["default_backend"]:
        raise Failure(f"error: {_NO_RULE}")
    for rule in options["rule"]:
        if _RULE.match(rule) is None:
            told = "is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            raise Failure(f"error: rule {rule} {told}")
    annotations = dict(map(_annotation, options["annotation"]))
    if options["default_backend"] and options["default_backend"].count(":") != 1:
        raise Failure("error: default-backend should be in format servicename:serviceport")
    spec: Object = {}
    if options["class"]:
        spec["ingressClassName"] = options["class"]
    if options["default_backend"]:
        spec["defaultBackend"] = _backend(options["default_backend"])
    if paths := _paths(options["rule"]):
        spec["rules"] = [{**({"host": host} if host else {}), "http": {"paths": on}} for host, on in paths.items()]
    if tls := _tls(options["rule"]):
        spec["tls"] = tls
    made = obj("networking.k8s.io/v1", "Ingress", request.name, spec=spec, status={"loadBalancer": {}})
    return {**made, "metadata": {"annotations": annotations, **made["metadata"]}} if annotations else made


def _annotation(text_: str) -> tuple[str, str]:
    key, equals, value = text_.partition("=")
    if not equals:
        raise Failure(f"error: annotation {text_} is invalid and should be in format key=[value]")
    return key, value


def _paths(rules: Sequence[str]) -> dict[str, list[Object]]:
    """By host."""
    found: dict[str, list[Object]] = {}
    for rule in rules:
        host, _, route = rule.partition("/")
        path, backend, *_rest = route.partition(",")[0].split("=")
        entry = {
            "backend": _backend(backend),
            "path": "/" + path.removesuffix("*"),
            "pathType": "Prefix" if path.endswith("*") else "Exact",
        }
        found.setdefault(host, []).append(entry)
    return found


def _tls(rules: Sequence[str]) -> list[Object]:
    """An entry for each secret, of rules with `,tls[=SECRET]`; a host is in the first of them alone."""
    hosts: dict[str, list[str]] = {}
    seen: set[str] = set()
    for rule in rules:
        host = rule.partition("/")[0]
        _, *extras = rule.split(",")
        if len(extras) != 1 or host in seen:
            continue
        seen.add(host)
        hosts.setdefault(extras[0].partition("=")[2], []).extend([host] if host else [])
    made = [{"hosts": of, "secretName": secret} for secret, of in hosts.items()]
    return [{field: value for field, value in entry.items() if value} for entry in made if any(entry.values())]


def _backend(text_: str) -> Object:
    name, port, *_ = text_.split(":")
    return {"service": {"name": name, "port": {"number": int(port)} if port.isdigit() else {"name": port}}}


_TCP = many("tcp", help="PORT[:TARGET]")

MAKERS = (
    Maker(
        ("service clusterip",),
        _service("ClusterIP"),
        (_TCP, text("clusterip", help="Its address, None for none.")),
        failing="failed to create ClusterIP service:",
    ),
    Maker(
        ("service nodeport",),
        _service("NodePort"),
        (_TCP, number("node-port", help="Port of the nodes.")),
        failing="failed to create NodePort service:",
    ),
    Maker(
        ("service loadbalancer",),
        _service("LoadBalancer"),
        (_TCP,),
        failing="failed to create LoadBalancer service:",
    ),
    Maker(
        ("service externalname",),
        _service("ExternalName"),
        (_TCP, text("external-name", help="The name it stands for.")),
        failing="failed to create ExternalName service:",
    ),
    Maker(
        ("ingress", "ing"),
        _ingress,
        (
            many("rule", help="HOST/PATH=SERVICE:PORT[,tls[=SECRET]]"),
            many("annotation", help="KEY=VALUE"),
            text("class", help="Its ingress class."),
            text("default-backend", help="SERVICE:PORT for everything else."),
        ),
        failing="failed to create ingress:",
    ),
)
