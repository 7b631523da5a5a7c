"""Which routes hang on which listeners, under which host names, and why others do not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pylet.api import selector
from pylet.api.gateway import GROUP
from pylet.api.gateway.listeners import Listener
from pylet.api.gateway.rules import unsupported
from pylet.api.object import Key, Object, dig

ANY = ""
Labels: TypeAlias = Mapping[str, Mapping[str, str]]
"""Of namespaces, by name."""


@dataclass(frozen=True, slots=True)
class Attached:
    listener: Listener
    hostnames: tuple[str, ...]
    """Those of the listener and the route alike; "" stands for any."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one parent reference: where it hangs, or the reason why nowhere."""

    attached: tuple[Attached, ...] = ()
    reason: str = "Accepted"


def parents_of(route: Object) -> Iterator[tuple[Object, Key]]:
    """Its references to Gateways, and which those are."""
    for ref in route["spec"].get("parentRefs") or ():
        if (ref.get("group", GROUP), ref.get("kind", "Gateway")) == (GROUP, "Gateway"):
            yield ref, Key(ref.get("namespace") or route["metadata"]["namespace"], ref["name"])


def attach(route: Object, ref: Object, listeners: Sequence[Listener], labels: Labels) -> Outcome:
    """`listeners` are those of the Gateway that `ref` names."""
    if unsupported(route):
        return Outcome(reason="UnsupportedValue")
    named = [
        one
        for one in listeners
        if ref.get("sectionName") in (None, "", one.name) and ref.get("port") in (None, 0, one.port)
    ]
    if not named:
        return Outcome(reason="NoMatchingParent")
    allowing = [one for one in named if _allows(one, route, labels)]
    if not allowing:
        return Outcome(reason="NotAllowedByListeners")
    attached = tuple(
        Attached(one, hostnames)
        for one in allowing
        if (hostnames := tuple(intersection(one.hostname, route["spec"].get("hostnames") or ())))
    )
    return Outcome(attached) if attached else Outcome(reason="NoMatchingListenerHostname")


def _allows(listener: Listener, route: Object, labels: Labels) -> bool:
    if route.get("kind", "HTTPRoute") not in listener.kinds:
        return False
    namespace = route["metadata"]["namespace"]
    asked = dig(listener.spec, "allowedRoutes", "namespaces", default={}) or {}
    match asked.get("from", "Same"):
        case "All":
            return True
        case "Same":
            return bool(namespace == listener.gateway.namespace)
        case "Selector":
            return selector.from_object(asked.get("selector"))(labels.get(namespace, {}))
    return False


def intersection(listener: str, hostnames: Iterable[str]) -> Iterator[str]:
    """The names that both mean, each the narrower of the two; "" is any name, `*.` at least one label more."""
    hostnames = [name.lower() for name in hostnames]
    if not hostnames:
        yield listener
    for name in hostnames:
        if covers(listener, name):
            yield name
        elif covers(name, listener):
            yield listener


def covers(wide: str, narrow: str) -> bool:
    """Whether every host that `narrow` means is one that `wide` means."""
    if wide in (ANY, narrow):
        return True
    return wide.startswith("*.") and narrow != ANY and narrow.endswith(wide[1:]) and narrow != wide[1:]


def specificity(hostname: str) -> tuple[bool, int]:
    """Greater for what decides: full names before wildcards, the longer first."""
    return not hostname.startswith("*") and hostname != ANY, len(hostname)
