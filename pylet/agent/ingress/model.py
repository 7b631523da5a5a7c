"""What a proxy shall do, before any proxy's words and whoever asks for it: ports, routes, backends. Pure.

The most specific host that any route names decides (exact, then wildcard, then routes without a host), then the path:
exact before regular expression before the longest prefix, then how much else a route tests. `ingresses` and `gateways`
each make a Part of a Config. What cannot be served is a Problem of its object, and keeps nothing else from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pylet.api.backends import SERVICE_NAME
from pylet.api.object import Key, Object, labels_of

ANY_HOST = "-"
EXACT, PREFIX, REGEX = "exact", "prefix", "regex"
INGRESS_PORTS = frozenset({80, 443})
_PATH = re.compile(r"/[\x21-\x7e]*")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Why a part of an object is not served."""

    kind: str
    about: Key
    reason: str
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """What a route asks beyond host and path: `what` is method, header or query."""

    what: str
    name: str
    value: str
    is_regex: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """A part of a route's requests, and the name of what serves it."""

    weight: int
    to: str


@dataclass(frozen=True, slots=True)
class Route:
    """`host` is a name, `*.name` (one label), `**.name` (any number of labels) or ANY_HOST.

    A prefix ends with a slash and means whole path elements. All `tests` have to hold.
    """

    host: str
    path: str
    kind: str
    shares: tuple[Share, ...]
    tests: tuple[Test, ...] = ()

    @property
    def precedence(self) -> tuple[int, ...]:
        """Among routes of one host and kind of path; the least is asked first."""
        counts = [sum(test.what == what for test in self.tests) for what in ("method", "header", "query")]
        return (-len(self.path), *(-count for count in counts))


@dataclass(frozen=True, slots=True, order=True)
class HeaderChange:
    """`what` is set, add or remove."""

    what: str
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, order=True)
class PathChange:
    """`prefix` makes place for `new`; the whole path does where it is None."""

    prefix: str | None
    new: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where a caller is sent; what is "" or 0 stays as it was asked."""

    code: int
    scheme: str = ""
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Handling:
    """What is done to requests on their way to a backend, and to its answers."""

    status: int = 0
    """Answered at once."""
    needs_tls: bool = False
    """Sends what comes over HTTP to HTTPS."""
    request: tuple[HeaderChange, ...] = ()
    response: tuple[HeaderChange, ...] = ()
    host: str = ""
    path: PathChange | None = None
    redirect: Redirect | None = None
    timeout_ms: int = 0


PLAIN = Handling()


@dataclass(frozen=True, slots=True)
class Backend:
    """`endpoints` are `address:port`, sorted; those of HTTP/2 without TLS are `is_h2c`."""

    endpoints: tuple[str, ...]
    handling: Handling = PLAIN
    is_h2c: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """A Secret's certificate for these hosts: none are those it names itself, `*` any that no other is for."""

    secret: Key
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """One port of the nodes; `default` is a backend or "". TLS needs `certificates`, and HTTP has none."""

    routes: tuple[Route, ...]
    default: str = ""
    certificates: tuple[Certificate, ...] = ()
    hosts: frozenset[str] = frozenset()
    """Hosts that are this port's even where no route serves them."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one API asks for."""

    ports: Mapping[int, Port]
    problems: tuple[Problem, ...] = ()
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """Routes lead to names in `backends`; `pems` are certificates with their keys that TLS can use."""

    ports: Mapping[int, Port]
    backends: Mapping[str, Backend]
    pems: Mapping[Key, bytes]
    proxy_protocol: bool = False
    problems: tuple[Problem, ...] = ()


NOTHING = Part({})


def merge(parts: Iterable[Part], backends: Backends, pems: Mapping[Key, bytes | str]) -> Config:
    """Who comes first wins where two ask for the same."""
    parts = list(parts)
    ports: dict[int, Port] = {}
    for part in parts:
        for number, port in part.ports.items():
            ports[number] = _joined(ports[number], port) if number in ports else port
    used = {certificate.secret for port in ports.values() for certificate in port.certificates}
    return Config(
        ports=ports,
        backends=backends.found,
        pems={key: pem for key in used if isinstance(pem := pems.get(key), bytes)},
        proxy_protocol=any(part.proxy_protocol for part in parts),
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def _joined(one: Port, other: Port) -> Port:
    return Port(
        (*one.routes, *other.routes),
        one.default or other.default,
        (*one.certificates, *(each for each in other.certificates if each not in one.certificates)),
        one.hosts | other.hosts,
    )


@dataclass(slots=True)
class Backends:
    """Services and their endpoints, as the backends that routes lead to."""

    services: Mapping[Key, Object]
    slices: Mapping[Key, list[Object]]
    found: dict[str, Backend] = field(default_factory=dict)

    @classmethod
    def of(cls, services: Mapping[Key, Object], slices: Iterable[Object]) -> Backends:
        by_service: dict[Key, list[Object]] = {}
        for item in slices:
            service = Key(item["metadata"]["namespace"], labels_of(item).get(SERVICE_NAME, ""))
            by_service.setdefault(service, []).append(item)
        return cls(services, by_service)

    def port(self, service: Key, wanted: str | int) -> Object | None:
        """A Service's port, by name or number."""
        ports = (self.services.get(service) or {"spec": {}})["spec"].get("ports") or ()
        by = "name" if isinstance(wanted, str) else "port"
        return next((port for port in ports if port.get(by) == wanted), None)

    def lead_to(self, service: Key, port: Object | None, name: str, handling: Handling = PLAIN) -> str:
        """The name of what serves it, which may have no endpoints: then callers read 503."""
        if name not in self.found:
            endpoints = _addresses(self.slices.get(service, ()), port.get("name", "")) if port else ()
            is_h2c = port is not None and port.get("appProtocol") == "kubernetes.io/h2c"
            self.found[name] = Backend(tuple(sorted(endpoints)), handling, is_h2c)
        return name

    def answer(self, name: str, handling: Handling) -> str:
        """The name of what answers without endpoints."""
        self.found.setdefault(name, Backend((), handling))
        return name


def is_path(text: str) -> bool:
    """Whether it is one printable word, as a proxy's files need it."""
    return _PATH.fullmatch(text) is not None


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
