"""What Ingresses, Services, EndpointSlices and Secrets say a proxy shall do, before any proxy's words. Pure.

The most specific host that any rule names decides (exact, then wildcard, then rules without a host), then the longest
path, Exact before Prefix; between equals the oldest Ingress wins. ImplementationSpecific paths are prefixes. What
cannot be served is a `Problem` of its Ingress, and never keeps others from being served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pylet.api.ingress import CONTROLLER
from pylet.api.object import Key, Object, annotations_of, dig, key_of, labels_of

REDIRECT = "pylet.io/https-redirect"
"""Annotation of an Ingress: "true" sends what comes over HTTP to HTTPS."""
PROXY_PROTOCOL = "pylet.io/proxy-protocol"
"""Annotation of an IngressClass: "true" when a load balancer before the nodes says who asks."""
ANY_HOST = "-"
_SERVICE_NAME = "kubernetes.io/service-name"
_PATH = re.compile(r"/[\x21-\x7e]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a part of an Ingress is not served."""

    ingress: Key
    reason: str
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """`host` is a name, `*.name` or ANY_HOST; a prefix ends with a slash and means whole path elements."""

    host: str
    path: str
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Backend:
    """`endpoints` are `address:port`, sorted."""

    endpoints: tuple[str, ...]
    redirects: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key, in PEM, that TLS can use; `hosts` empty means those it names itself."""

    pem: bytes
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Routes lead to names in `backends`; `default` is one or ""."""

    routes: Mapping[Route, str]
    backends: Mapping[str, Backend]
    pairs: Mapping[Key, Pair]
    default: str = ""
    proxy_protocol: bool = False
    problems: tuple[Problem, ...] = ()


def services_of(ingress: Object) -> Iterator[Key]:
    for backend in _backends_of(ingress):
        if service := backend.get("service"):
            yield Key(ingress["metadata"]["namespace"], service["name"])


def build(
    ingresses: Sequence[Object],
    services: Mapping[Key, Object],
    slices: Iterable[Object],
    pairs: Mapping[Key, bytes | str],
    classes: Sequence[Object] = (),
) -> Config:
    """`ingresses` are those of our classes; `pairs` has, by Secret, its PEM or why there is none.

    That is "" while nobody knows yet.
    """
    return _Builder(services, slices, pairs).build(ingresses, classes)


class _Builder:
    def __init__(
        self, services: Mapping[Key, Object], slices: Iterable[Object], pairs: Mapping[Key, bytes | str]
    ) -> None:
        self._services = services
        self._pairs = pairs
        self._slices: dict[Key, list[Object]] = {}
        for item in slices:
            service = Key(item["metadata"]["namespace"], labels_of(item).get(_SERVICE_NAME, ""))
            self._slices.setdefault(service, []).append(item)
        self._routes: dict[Route, str] = {}
        self._backends: dict[str, Backend] = {}
        self._hosts: dict[Key, set[str]] = {}
        self._problems: list[Problem] = []

    def build(self, ingresses: Sequence[Object], classes: Sequence[Object]) -> Config:
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
            for host in hosts:
                self._routes.setdefault(Route(host, "/", is_exact=False), name)
            if not hosts:
                default = default or name
        asked = [item for item in classes if item["spec"].get("controller") == CONTROLLER]
        return Config(
            routes=self._routes,
            backends=self._backends,
            pairs={
                key: Pair(pem, tuple(sorted(hosts)))
                for key, hosts in self._hosts.items()
                if isinstance(pem := self._pairs[key], bytes)
            },
            default=default,
            proxy_protocol=any(annotations_of(item).get(PROXY_PROTOCOL) == "true" for item in asked),
            problems=tuple(self._problems),
        )

    def _tls(self, ingress: Object) -> None:
        for tls in ingress["spec"].get("tls") or ():
            if not tls.get("secretName"):
                continue
            key = Key(ingress["metadata"]["namespace"], tls["secretName"])
            pem = self._pairs.get(key, f'Secret "{key}" is not there')
            if isinstance(pem, str):
                if pem:
                    self._complain(ingress, "InvalidTLS", pem)
            else:
                self._hosts.setdefault(key, set()).update(tls.get("hosts") or ())

    def _rule(self, ingress: Object, rule: Object) -> None:
        for path in dig(rule, "http", "paths", default=()):
            text, type_ = path.get("path") or "/", path["pathType"]
            if not _PATH.fullmatch(text):
                self._complain(ingress, "InvalidPath", f"path {text!r} is not served: it must be one printable word")
                continue
            is_exact = type_ == "Exact"
            route = Route(rule.get("host") or ANY_HOST, text if is_exact else text.rstrip("/") + "/", is_exact)
            self._routes.setdefault(route, self._backend(ingress, path["backend"]))

    def _backend(self, ingress: Object, backend: Object) -> str:
        """The name of what serves it, which may have no endpoints: then callers read 503."""
        service = backend.get("service")
        if service is None:
            what = f"{dig(backend, 'resource', 'kind')}/{dig(backend, 'resource', 'name')}"
            self._complain(ingress, "UnsupportedBackend", f"resource backend {what} is not served: only Services are")
            self._backends["refused"] = Backend(())
            return "refused"
        key, port = Key(ingress["metadata"]["namespace"], service["name"]), service["port"]
        redirects = annotations_of(ingress).get(REDIRECT) == "true"
        name = f"{key.namespace}_{key.name}_{port.get('name') or port.get('number')}" + "_redirect" * redirects
        if name not in self._backends:
            self._backends[name] = Backend(tuple(sorted(self._endpoints(ingress, key, port))), redirects)
        return name

    def _endpoints(self, ingress: Object, key: Key, wanted: Object) -> set[str]:
        service = self._services.get(key)
        if service is None:
            self._complain(ingress, "ServiceNotFound", f'Service "{key}" is not there')
            return set()
        if service["spec"].get("type") == "ExternalName":
            self._complain(ingress, "UnsupportedBackend", f'Service "{key}" is an ExternalName: it is not served')
            return set()
        for port in service["spec"].get("ports") or ():
            if port.get("name") == wanted["name"] if wanted.get("name") else port["port"] == wanted.get("number"):
                return _addresses(self._slices.get(key, ()), port.get("name", ""))
        said = wanted.get("name") or wanted.get("number")
        self._complain(ingress, "PortNotFound", f'Service "{key}" has no port {said}')
        return set()

    def _complain(self, ingress: Object, reason: str, message: str) -> None:
        problem = Problem(key_of(ingress), reason, message)
        if problem not in self._problems:
            self._problems.append(problem)


def _addresses(slices: Iterable[Object], port_name: str) -> set[str]:
    """Ready endpoints; where none is, those that end but still serve."""
    ready: set[str] = set()
    ending: set[str] = set()
    for item in slices:
        if item["addressType"] == "FQDN":
            continue
        numbers = [p["port"] for p in item.get("ports") or () if p.get("name", "") == port_name and p.get("port")]
        for endpoint in item.get("endpoints") or ():
            state = endpoint.get("conditions") or {}
            if state.get("ready") is not False:
                into = ready
            elif state.get("serving") and state.get("terminating"):
                into = ending
            else:
                continue
            address = endpoint["addresses"][0]
            into |= {f"[{address}]:{number}" if ":" in address else f"{address}:{number}" for number in numbers}
    return ready or ending


def _backends_of(ingress: Object) -> Iterator[Object]:
    spec = ingress["spec"]
    if spec.get("defaultBackend"):
        yield spec["defaultBackend"]
    for rule in spec.get("rules") or ():
        for path in dig(rule, "http", "paths", default=()):
            yield path["backend"]
