"""What Gateways of our classes and the routes on them ask of the proxy. Pure.

The Gateways of a cluster share the nodes' addresses: between equals the oldest route wins. A host is served by the
listener that names it best, and by no other (listener isolation); then by its own routes alone, not by those of a wider
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from pylet.agent.ingress.model import (
    ANY_HOST,
    EXACT,
    PLAIN,
    PREFIX,
    REGEX,
    Backends,
    Certificate,
    Handling,
    HeaderChange,
    Part,
    PathChange,
    Port,
    Problem,
    Redirect,
    Route,
    Share,
    Test,
)
from pylet.api.gateway.attachment import Attached, Labels, attach, covers, parents_of, specificity
from pylet.api.gateway.listeners import Listener
from pylet.api.gateway.rules import backends_of, service_key, wrong_with
from pylet.api.object import Key, Object, seniority

_PATHS = {"Exact": EXACT, "PathPrefix": PREFIX, "RegularExpression": REGEX}
_ANY_PATH = {"path": {"type": "PathPrefix", "value": "/"}}
_UNIT_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


@dataclass(frozen=True, slots=True)
class Asked:
    """All that the Gateway API says: the listeners of our Gateways, and what may hang on them."""

    listeners: Sequence[Listener]
    routes: Sequence[Object]
    grants: Sequence[Object]
    labels: Labels


def services_of(routes: Iterable[Object]) -> Iterator[Key]:
    for route in routes:
        for rule in route["spec"].get("rules") or ():
            for ref in backends_of(rule):
                yield service_key(ref, route["metadata"]["namespace"])


def build(asked: Asked, backends: Backends, pems: Mapping[Key, bytes | str]) -> Part:
    """`pems` has, by Secret, its PEM or why there is none."""
    listeners = [one for one in asked.listeners if not one.refused and _is_open(one, pems)]
    by_port: dict[int, list[Listener]] = {}
    for listener in listeners:
        by_port.setdefault(listener.port, []).append(listener)
    routes: dict[int, list[Route]] = {number: [] for number in by_port}
    for route in sorted(asked.routes, key=seniority):
        made = None
        for attached in _attached(route, asked):
            number = attached.listener.port
            hosts = [host for host in attached.hostnames if _is_best(attached.listener, host, by_port.get(number, ()))]
            if attached.listener in listeners and hosts:
                made = made or list(_routes(route, asked.grants, backends))
                routes[number] += (replace(one, host=site) for host in hosts for site in _sites(host) for one in made)
    return Part(
        {
            number: Port(
                tuple(dict.fromkeys(routes[number])),
                certificates=tuple(dict.fromkeys(_certificates(members, pems))),
                hosts=frozenset(site for one in members for site in _sites(one.hostname)),
            )
            for number, members in by_port.items()
        }
    )


def without(part: Part, taken: set[int], asked: Asked, where: str) -> Part:
    """The part as far as ports allow, and who has to know that others have `taken` some."""
    problems = tuple(
        Problem("Gateway", one.gateway, "PortUnavailable", f"{where}: another program listens on port {one.port}")
        for one in asked.listeners
        if one.port in taken
    )
    ports = {number: port for number, port in part.ports.items() if number not in taken}
    return replace(part, ports=ports, problems=problems)


def _attached(route: Object, asked: Asked) -> Iterator[Attached]:
    for ref, gateway in parents_of(route):
        own = [one for one in asked.listeners if one.gateway == gateway]
        yield from attach(route, ref, own, asked.labels).attached


def _is_open(listener: Listener, pems: Mapping[Key, bytes | str]) -> bool:
    return listener.protocol == "HTTP" or any(isinstance(pems.get(key), bytes) for key in listener.certificates)


def _is_best(listener: Listener, host: str, others: Iterable[Listener]) -> bool:
    """Whether no other listener of the port names that host better."""
    own = specificity(listener.hostname)
    return not any(specificity(other.hostname) > own and covers(other.hostname, host) for other in others)


def _sites(hostname: str) -> tuple[str, ...]:
    """As the model says it: a wildcard of the Gateway API is any number of labels."""
    return (f"*{hostname[1:]}", f"**{hostname[1:]}") if hostname.startswith("*.") else (hostname or ANY_HOST,)


def _certificates(listeners: Iterable[Listener], pems: Mapping[Key, bytes | str]) -> Iterator[Certificate]:
    for listener in listeners:
        for key in listener.certificates:
            if isinstance(pems.get(key), bytes):
                yield Certificate(key, (listener.hostname or "*",))


def _routes(route: Object, grants: Sequence[Object], backends: Backends) -> Iterator[Route]:
    """For any host."""
    for rule in route["spec"].get("rules") or ():
        for match in rule.get("matches") or (_ANY_PATH,):
            path = match.get("path") or _ANY_PATH["path"]
            kind, text = _PATHS[path.get("type", "PathPrefix")], path.get("value", "/")
            shares = tuple(_shares(route, rule, text if kind == PREFIX else "", grants, backends))
            where = {PREFIX: text.rstrip("/") + "/", REGEX: f"^(?:{text})$"}.get(kind, text)
            yield Route(ANY_HOST, where, kind, shares, tuple(_tests(match)))


def _tests(match: Object) -> Iterator[Test]:
    if match.get("method"):
        yield Test("method", "", match["method"])
    for what, field in (("header", "headers"), ("query", "queryParams")):
        seen: set[str] = set()
        for one in match.get(field) or ():
            name = one["name"].lower() if what == "header" else one["name"]
            if name not in seen:  # the first of a name counts
                is_regex = one.get("type") == "RegularExpression"
                yield Test(what, name, f"^(?:{one['value']})$" if is_regex else one["value"], is_regex)
            seen.add(name)


def _shares(route: Object, rule: Object, prefix: str, grants: Sequence[Object], backends: Backends) -> Iterator[Share]:
    handling = _handling(rule.get("filters") or (), prefix, replace(PLAIN, timeout_ms=_timeout(rule)))
    if handling.redirect:
        yield Share(1, _answered(handling, backends))
        return
    namespace = route["metadata"]["namespace"]
    refs = [ref for ref in backends_of(rule) if ref.get("weight", 1)]
    for ref in refs:
        if wrong_with(ref, route.get("kind", "HTTPRoute"), namespace, grants, backends.services.get)[0]:
            to = _answered(Handling(status=500), backends)
        else:
            to = _led(
                service_key(ref, namespace),
                ref["port"],
                _handling(ref.get("filters") or (), prefix, handling),
                backends,
            )
        yield Share(ref.get("weight", 1), to)
    if not refs:
        yield Share(1, _answered(Handling(status=500), backends))


def _led(service: Key, port: int, handling: Handling, backends: Backends) -> str:
    if handling.redirect:
        return _answered(handling, backends)
    name = f"{service.namespace}_{service.name}_{port}" + (f"_{_digest(handling)}" if handling != PLAIN else "")
    return backends.lead_to(service, backends.port(service, port), name, handling)


def _answered(handling: Handling, backends: Backends) -> str:
    return backends.answer(
        f"status_{handling.status}" if handling.status else f"redirect_{_digest(handling)}", handling
    )


def _digest(handling: Handling) -> str:
    return sha256(repr(handling).encode()).hexdigest()[:12]


def _handling(filters: Iterable[Object], prefix: str, before: Handling) -> Handling:
    """`before` and what these filters add to it."""
    for one in filters:
        match one["type"]:
            case "RequestHeaderModifier":
                changes = tuple(_changes(one["requestHeaderModifier"]))
                before = replace(before, request=before.request + changes)
            case "ResponseHeaderModifier":
                changes = tuple(_changes(one["responseHeaderModifier"]))
                before = replace(before, response=before.response + changes)
            case "URLRewrite":
                asked = one["urlRewrite"]
                before = replace(before, host=asked.get("hostname", ""), path=_path(asked.get("path"), prefix))
            case "RequestRedirect":
                asked = one["requestRedirect"]
                to = Redirect(
                    asked.get("statusCode", 302),
                    asked.get("scheme", ""),
                    asked.get("hostname", ""),
                    asked.get("port", 0),
                )
                before = replace(before, redirect=to, path=_path(asked.get("path"), prefix))
    return before


def _changes(modifier: Object) -> Iterator[HeaderChange]:
    for what in ("set", "add"):
        for header in modifier.get(what) or ():
            yield HeaderChange(what, header["name"], header["value"])
    for name in modifier.get("remove") or ():
        yield HeaderChange("remove", name)


def _path(path: Any, prefix: str) -> PathChange | None:
    if not path:
        return None
    if path["type"] == "ReplacePrefixMatch":
        return PathChange(prefix or "/", path.get("replacePrefixMatch", ""))
    return PathChange(None, path.get("replaceFullPath") or "/")


def _timeout(rule: Object) -> int:
    """Milliseconds until a caller is told that the backend is too slow; 0 for the proxy's own patience."""
    asked = (rule.get("timeouts") or {}).values()
    limits = [sum(int(n) * _UNIT_MS[unit] for n, unit in re.findall(r"(\d+)(h|ms|m|s)", text)) for text in asked]
    return min((limit for limit in limits if limit), default=0)
