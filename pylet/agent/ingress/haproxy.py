"""A Config in HAProxy's words: its files, and the commands that bring a running one from one Config to the next. Pure.

Only endpoints change at run time; everything else is a reload, which HAProxy does without losing a connection. Written
for HAProxy 2.6 (management guide: `add server`, `del server`; configuration manual: maps, crt-list).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import PurePath

from pylet.agent.ingress.model import ANY_HOST, Config

MAIN, HOSTS, EXACT, PREFIX, CERTIFICATES = "haproxy.cfg", "hosts.map", "exact.map", "prefix.map", "certificates.list"
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

frontend ingress
{binds}
    http-request set-var(txn.host) req.hdr(host),field(1,:),lower
    http-request set-var(txn.site) var(txn.host),map_str({directory}/hosts.map)
    http-request set-var(txn.site) var(txn.host),regsub(^[^.]+,*),map_str({directory}/hosts.map) \
if !{{ var(txn.site) -m found }}
    http-request set-var(txn.site) str({any}) if !{{ var(txn.site) -m found }}
    http-request set-var(txn.path) path
    http-request set-var(txn.where) var(txn.site),concat(,txn.path)
    http-request set-var(txn.to) var(txn.where),map_str({directory}/exact.map)
    http-request set-var(txn.to) var(txn.where),concat(/),map_beg({directory}/prefix.map) \
if !{{ var(txn.to) -m found }}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
    use_backend %[var(txn.to)] if {{ var(txn.to) -m found }}
    default_backend {default}

backend nowhere
    http-request return status 404 content-type text/plain string "no Ingress leads here"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a HAProxy runs here; `user` is empty where the package's own user is not there."""

    directory: PurePath
    threads: int = 1
    user: str = "haproxy"
    http_port: int = 80
    https_port: int = 443
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
    found = {
        HOSTS: _map({route.host: route.host for route in config.routes}),
        EXACT: _map({route.host + route.path: to for route, to in config.routes.items() if route.is_exact}),
        PREFIX: _map({route.host + route.path: to for route, to in config.routes.items() if not route.is_exact}),
    }
    for key, pair in config.pairs.items():
        found[f"{key.namespace}_{key.name}.pem"] = pair.pem
    found[CERTIFICATES] = "".join(
        f"{place.directory}/{key.namespace}_{key.name}.pem {' '.join(pair.hosts)}".rstrip() + "\n"
        for key, pair in sorted(config.pairs.items())
    ).encode()
    found[MAIN] = _main(config, place).encode()
    return found


def generation(config: Config) -> str:
    """Names what only a reload can change: what the running one was started with."""
    fixed = replace(config, backends={name: replace(b, endpoints=()) for name, b in config.backends.items()})
    said = (
        sorted(fixed.routes.items()),
        sorted((name, b.redirects) for name, b in fixed.backends.items()),
        sorted((key, pair.pem, pair.hosts) for key, pair in fixed.pairs.items()),
        fixed.default,
        fixed.proxy_protocol,
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
            yield f"add server {server} {endpoint}"  # refused where one is still draining: then it is awakened
            yield f"set server {server} state ready"
        gone += [f"{name}/{_server(endpoint)}" for endpoint in sorted(had - has)]
    for server in gone:
        yield f"set server {server} state maint"
        yield f"del server {server}"  # refused while it has connections: then it sleeps until the next reload


def _main(config: Config, place: Place) -> str:
    parts = [
        _GLOBAL.format(
            generation=generation(config),
            directory=place.directory,
            user=f"user {place.user}\n    group {place.user}" if place.user else "",
            threads=place.threads,
            binds="\n".join(_binds(config, place)),
            any=ANY_HOST,
            default=config.default or "nowhere",
        )
    ]
    for name, backend in sorted(config.backends.items()):
        lines = [f"backend {name}"]
        if backend.redirects:
            lines.append("    http-request redirect scheme https code 308 unless { ssl_fc }")
        lines += [f"    server {_server(endpoint)} {endpoint}" for endpoint in backend.endpoints]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _binds(config: Config, place: Place) -> Iterator[str]:
    proxied = " accept-proxy" if config.proxy_protocol else ""
    tls = f" ssl crt-list {place.directory}/{CERTIFICATES} strict-sni alpn h2,http/1.1"
    for family in place.families:
        address, only = ("[::]", " v6only") if family == 6 else ("0.0.0.0", "")
        yield f"    bind {address}:{place.http_port}{only}{proxied}"
        if config.pairs:
            yield f"    bind {address}:{place.https_port}{only}{proxied}{tls}"


def _server(endpoint: str) -> str:
    return "s" + endpoint.strip("[").replace("]", "").replace(":", "_")


def _map(pairs: Mapping[str, str]) -> bytes:
    return "".join(f"{key} {value}\n" for key, value in sorted(pairs.items())).encode()
