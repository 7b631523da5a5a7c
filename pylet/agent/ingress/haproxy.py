"""A Config in HAProxy's words: its files, and the commands that bring a running one from one Config to the next. Pure.

Only endpoints change at run time; everything else is a reload, which HAProxy does without losing a connection. Written
for HAProxy 2.6 (management guide: `add server`, `del server`; configuration manual: maps, crt-list).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import PurePath

from pylet.agent.ingress import handling
from pylet.agent.ingress.model import Backend, Config, Port
from pylet.agent.ingress.routing import Routing, routing

MAIN = "haproxy.cfg"
SOCKET = "admin.sock"

_GLOBAL = """\
global
    description {generation}
    stats socket {directory}/admin.sock mode 600 level admin expose-fd listeners
    {user}
    maxconn 8000
    nbthread {threads}
    no strict-limits
    hard-stop-after 30m
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode http
    balance roundrobin
    option redispatch
    option idle-close-on-response
    retries 3
    retry-on conn-failure
    timeout connect 3s
    timeout http-request 30s
    timeout http-keep-alive 60s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h

backend nowhere
    http-request return status 404 content-type text/plain string "no Ingress leads here"
"""
_FRONTEND = """\
frontend {name}
{binds}
    http-request set-var(txn.host) req.hdr(host),field(1,:),lower
{sites}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
    use_backend %[var(txn.to)] if {{ var(txn.to) -m found }}
    default_backend {default}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a HAProxy runs here; `user` is empty where the package's own user is not there."""

    directory: PurePath
    threads: int = 1
    user: str = "haproxy"
    families: tuple[int, ...] = (4,)


@dataclass(frozen=True, slots=True)
class Reload:
    """The files have to be read anew."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What the running one is told on its socket, one line each."""

    lines: tuple[str, ...]


def files(config: Config, place: Place) -> dict[str, bytes]:
    """All files by name, below the place's directory."""
    found = {f"{key.namespace}_{key.name}.pem": pem for key, pem in config.pems.items()}
    parts = [_global(config, place)]
    for port, numbers in _frontends(config):
        name = str(numbers[0])
        routed = routing(port, f"{place.directory}/{name}.")
        found |= {f"{name}.{kind}.map": content for kind, content in routed.maps.items()}
        for number in numbers:
            if config.ports[number].certificates:
                found[f"{number}.list"] = _certificates(config.ports[number], config, place)
        parts.append(_frontend(port, numbers, routed, config, place))
    parts += _backends(config)
    found[MAIN] = "\n".join(parts).encode()
    return found


def generation(config: Config) -> str:
    """Names what only a reload can change: what the running one was started with."""
    said = (
        sorted(
            (number, port.routes, port.default, port.certificates, sorted(port.hosts))
            for number, port in config.ports.items()
        ),
        sorted((name, repr(replace(backend, endpoints=()))) for name, backend in config.backends.items()),
        sorted(config.pems.items()),
        config.proxy_protocol,
    )
    return sha256(repr(said).encode()).hexdigest()[:16]


def change(before: Config | None, after: Config) -> Reload | Commands:
    if before is None or generation(before) != generation(after):
        return Reload()
    return Commands(tuple(_commands(before, after)))


def _commands(before: Config, after: Config) -> Iterator[str]:
    """New servers first, so that a roll-out never leaves a backend without one."""
    gone: list[str] = []
    for name, backend in sorted(after.backends.items()):
        had, has = set(before.backends[name].endpoints), set(backend.endpoints)
        for endpoint in sorted(has - had):
            server = f"{name}/{_server(endpoint)}"
            # Refused where one is still draining: then it is awakened.
            yield f"add server {server} {endpoint}{_protocol(backend)}"
            yield f"set server {server} state ready"
        gone += [f"{name}/{_server(endpoint)}" for endpoint in sorted(had - has)]
    for server in gone:
        yield f"set server {server} state maint"
        yield f"del server {server}"  # refused while it has connections: then it sleeps until the next reload


def _global(config: Config, place: Place) -> str:
    return _GLOBAL.format(
        generation=generation(config),
        directory=place.directory,
        user=f"user {place.user}\n    group {place.user}" if place.user else "",
        threads=place.threads,
    )


def _frontends(config: Config) -> Iterator[tuple[Port, list[int]]]:
    """Ports that lead to the same are one frontend, as HTTP and HTTPS often do."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, port in sorted(config.ports.items()):
        alike.setdefault((port.routes, port.default, port.hosts), []).append(number)
    for numbers in alike.values():
        yield config.ports[numbers[0]], numbers


def _frontend(port: Port, numbers: list[int], routed: Routing, config: Config, place: Place) -> str:
    return _FRONTEND.format(
        name=f"port-{numbers[0]}",
        binds="\n".join(bind for number in numbers for bind in _binds(number, config, place)),
        sites="\n".join(f"    http-request {rule}" for rule in routed.rules),
        default=port.default or "nowhere",
    )


def _backends(config: Config) -> Iterator[str]:
    for name, backend in sorted(config.backends.items()):
        lines = [f"backend {name}", *(f"    {rule}" for rule in handling.rules(backend.handling))]
        lines += [f"    server {_server(endpoint)} {endpoint}{_protocol(backend)}" for endpoint in backend.endpoints]
        yield "\n".join(lines) + "\n"


def _protocol(backend: Backend) -> str:
    return " proto h2" if backend.is_h2c else ""


def _binds(number: int, config: Config, place: Place) -> Iterator[str]:
    port = config.ports[number]
    proxied = " accept-proxy" if config.proxy_protocol else ""
    tls = ""
    if port.certificates:
        strict = "" if any("*" in one.hosts for one in port.certificates) else " strict-sni"
        tls = f" ssl crt-list {place.directory}/{number}.list{strict} alpn h2,http/1.1"
    for family in place.families:
        address, only = ("[::]", " v6only") if family == 6 else ("0.0.0.0", "")
        yield f"    bind {address}:{number}{only}{proxied}{tls}"


def _certificates(port: Port, config: Config, place: Place) -> bytes:
    """The first is shown to who names no host that another is for, unless HAProxy is strict about names."""
    lines = []
    for one in sorted(port.certificates, key=lambda one: ("*" not in one.hosts, one.secret, one.hosts)):
        if one.secret in config.pems:
            path = f"{place.directory}/{one.secret.namespace}_{one.secret.name}.pem"
            lines.append(f"{path} {' '.join(host for host in one.hosts if host != '*')}".rstrip() + "\n")
    return "".join(lines).encode()


def _server(endpoint: str) -> str:
    return "s" + endpoint.strip("[").replace("]", "").replace(":", "_")
