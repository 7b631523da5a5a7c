"""What Ingresses of our classes ask of the proxy. Pure.

Between equals the oldest Ingress wins. ImplementationSpecific paths are prefixes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pylet.agent.ingress.model import (
    ANY_HOST,
    EXACT,
    PREFIX,
    Backends,
    Certificate,
    Handling,
    Part,
    Port,
    Problem,
    Route,
    Share,
    is_path,
)
from pylet.api.ingress import CONTROLLER
from pylet.api.object import Key, Object, annotations_of, dig, key_of

REDIRECT = "pylet.io/https-redirect"
"""Annotation of an Ingress: "true" sends what comes over HTTP to HTTPS."""
PROXY_PROTOCOL = "pylet.io/proxy-protocol"
"""Annotation of an IngressClass: "true" when a load balancer before the nodes says who asks."""


def services_of(ingress: Object) -> Iterator[Key]:
    for backend in _backends_of(ingress):
        if service := backend.get("service"):
            yield Key(ingress["metadata"]["namespace"], service["name"])


def build(
    ingresses: Sequence[Object],
    backends: Backends,
    pems: Mapping[Key, bytes | str],
    classes: Sequence[Object] = (),
    *,
    http_port: int = 80,
    https_port: int = 443,
) -> Part:
    """`ingresses` are those of our classes; `pems` has, by Secret, its PEM or why there is none.

    That is "" while nobody knows yet.
    """
    return _Builder(backends, pems).build(ingresses, classes, http_port, https_port)


class _Builder:
    def __init__(self, backends: Backends, pems: Mapping[Key, bytes | str]) -> None:
        self._backends = backends
        self._pems = pems
        self._routes: dict[tuple[str, str, str], Route] = {}
        self._hosts: dict[Key, set[str]] = {}
        self._problems: dict[Problem, None] = {}

    def build(self, ingresses: Sequence[Object], classes: Sequence[Object], http_port: int, https_port: int) -> Part:
        default = ""
        for ingress in ingresses:
            self._tls(ingress)
            for rule in ingress["spec"].get("rules") or ():
                self._rule(ingress, rule)
        for ingress in ingresses:  # what is left over by all rules
            backend = ingress["spec"].get("defaultBackend")
            if backend is None:
                continue
            name = self._backend(ingress, backend)
            hosts = {rule["host"] for rule in ingress["spec"].get("rules") or () if rule.get("host")}
            for host in sorted(hosts):
                self._route(host, "/", PREFIX, name)
            if not hosts:
                default = default or name
        if not ingresses:
            return Part({})
        routes = tuple(self._routes.values())
        ports = {http_port: Port(routes, default)}
        if self._hosts:
            certificates = tuple(Certificate(key, tuple(sorted(hosts))) for key, hosts in sorted(self._hosts.items()))
            ports[https_port] = Port(routes, default, certificates)
        asked = [item for item in classes if item["spec"].get("controller") == CONTROLLER]
        proxied = any(annotations_of(item).get(PROXY_PROTOCOL) == "true" for item in asked)
        return Part(ports, tuple(self._problems), proxied)

    def _tls(self, ingress: Object) -> None:
        for tls in ingress["spec"].get("tls") or ():
            if not tls.get("secretName"):
                continue
            key = Key(ingress["metadata"]["namespace"], tls["secretName"])
            pem = self._pems.get(key, f'Secret "{key}" is not there')
            if isinstance(pem, str):
                if pem:
                    self._complain(ingress, "InvalidTLS", pem)
            else:
                self._hosts.setdefault(key, set()).update(tls.get("hosts") or ())

    def _rule(self, ingress: Object, rule: Object) -> None:
        for path in dig(rule, "http", "paths", default=()):
            text = path.get("path") or "/"
            if not is_path(text):
                self._complain(ingress, "InvalidPath", f"path {text!r} is not served: it must be one printable word")
                continue
            kind = EXACT if path["pathType"] == "Exact" else PREFIX
            text = text if kind == EXACT else text.rstrip("/") + "/"
            self._route(rule.get("host") or ANY_HOST, text, kind, self._backend(ingress, path["backend"]))

    def _route(self, host: str, path: str, kind: str, backend: str) -> None:
        self._routes.setdefault((host, path, kind), Route(host, path, kind, (Share(1, backend),)))

    def _backend(self, ingress: Object, backend: Object) -> str:
        service = backend.get("service")
        if service is None:
            what = f"{dig(backend, 'resource', 'kind')}/{dig(backend, 'resource', 'name')}"
            self._complain(ingress, "UnsupportedBackend", f"resource backend {what} is not served: only Services are")
            return self._backends.answer("refused", Handling())
        key, wanted = Key(ingress["metadata"]["namespace"], service["name"]), service["port"]
        said = wanted.get("name") or wanted.get("number")
        redirects = annotations_of(ingress).get(REDIRECT) == "true"
        name = f"{key.namespace}_{key.name}_{said}" + "_redirect" * redirects
        return self._backends.lead_to(key, self._port(ingress, key, said), name, Handling(needs_tls=redirects))

    def _port(self, ingress: Object, key: Key, wanted: str | int) -> Object | None:
        service = self._backends.services.get(key)
        if service is None:
            self._complain(ingress, "ServiceNotFound", f'Service "{key}" is not there')
        elif service["spec"].get("type") == "ExternalName":
            self._complain(ingress, "UnsupportedBackend", f'Service "{key}" is an ExternalName: it is not served')
        elif (port := self._backends.port(key, wanted)) is not None:
            return port
        else:
            self._complain(ingress, "PortNotFound", f'Service "{key}" has no port {wanted}')
        return None

    def _complain(self, ingress: Object, reason: str, message: str) -> None:
        self._problems[Problem("Ingress", key_of(ingress), reason, message)] = None


def _backends_of(ingress: Object) -> Iterator[Object]:
    spec = ingress["spec"]
    if spec.get("defaultBackend"):
        yield spec["defaultBackend"]
    for rule in spec.get("rules") or ():
        for path in dig(rule, "http", "paths", default=()):
            yield path["backend"]
