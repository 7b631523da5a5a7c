"""Services and Ingresses."""

from __future__ import annotations

from collections.abc import Callable

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import many, number, text
from pylet.cli.kubectl.creating.maker import Maker, Request, obj, required, words


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
    port, _, target = pair.partition(":")
    try:
        number_ = int(port)
        goal: int | str = int(target or port) if (target or port).isdigit() else target
    except ValueError:
        raise Failure(f"error: invalid port {pair}") from None
    made: Object = {"name": pair.replace(":", "-"), "port": number_, "protocol": "TCP", "targetPort": goal}
    return {**made, "nodePort": node_port} if node_port else made


def _ingress(request: Request) -> Object:
    rules: dict[str, list[Object]] = {}
    tls: dict[str, list[str]] = {}
    for rule in request.options["rule"]:
        route, *extras = rule.split(",")
        address, equals, backend = route.partition("=")
        host, slash, path = address.partition("/")
        if not equals or not slash:
            raise Failure(
                f"error: rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            )
        prefix = path.endswith("*")
        entry = {
            "backend": _backend(backend),
            "path": "/" + path.removesuffix("*"),
            "pathType": "Prefix" if prefix else "Exact",
        }
        rules.setdefault(host, []).append(entry)
        for extra in extras:
            tls.setdefault(extra.partition("=")[2], []).append(host)
    spec: Object = {}
    if request.options["class"]:
        spec["ingressClassName"] = request.options["class"]
    if request.options["default_backend"]:
        spec["defaultBackend"] = _backend(request.options["default_backend"])
    if rules:
        hosts = rules.items()
        spec["rules"] = [{**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in hosts]
    if tls:
        spec["tls"] = [{"hosts": hosts, **({"secretName": secret} if secret else {})} for secret, hosts in tls.items()]
    return obj("networking.k8s.io/v1", "Ingress", request.name, spec=spec, status={"loadBalancer": {}})


def _backend(text_: str) -> Object:
    name, _, port = text_.partition(":")
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
            text("class", help="Its ingress class."),
            text("default-backend", help="SERVICE:PORT for everything else."),
        ),
        failing="failed to create ingress:",
    ),
)
