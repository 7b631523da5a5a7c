"""Which routes may hang where, under which names; and who may name what of another namespace."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.gateway.attachment import attach, intersection
from pylet.api.gateway.grants import may_name
from pylet.api.gateway.listeners import listeners
from pylet.api.gateway.rules import unsupported
from pylet.api.object import Key, Object


@pytest.mark.parametrize(
    ("listener", "hostnames", "both"),
    [
        ("", [], [""]),
        ("", ["a.test"], ["a.test"]),
        ("a.test", [], ["a.test"]),
        ("a.test", ["A.test", "b.test"], ["a.test"]),
        ("*.test", ["a.b.test", "test"], ["a.b.test"]),
        ("a.test", ["*.test"], ["a.test"]),
        ("*.a.test", ["*.test"], ["*.a.test"]),
        ("*.test", ["*.a.test"], ["*.a.test"]),
        ("*.test", ["*.other"], []),
        ("test", ["*.test"], []),
    ],
)
def test_both_names_have_to_mean_a_host(listener: str, hostnames: list[str], both: list[str]) -> None:
    assert list(intersection(listener, hostnames)) == both


def _gateway(*found: Object, name: str = "gw") -> Object:
    spec = {"gatewayClassName": "pylet", "listeners": list(found)}
    return {"metadata": {"namespace": "a", "name": name}, "spec": spec}


def _listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **spec: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, **spec}


def _allowing(**allowed: Any) -> Object:
    return _listener(allowedRoutes=allowed)


def _outcome(listener: Object, ref: Any = None, namespace: str = "a", **spec: Any) -> str:
    route = {"metadata": {"namespace": namespace, "name": "r"}, "spec": spec}
    return attach(route, ref or {"name": "gw"}, listeners([_gateway(listener)], []), {"b": {"team": "web"}}).reason


FROM_WEB = {"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}


@pytest.mark.parametrize(
    ("listener", "namespace", "reason"),
    [
        (_listener(), "a", "Accepted"),
        (_listener(), "b", "NotAllowedByListeners"),
        (_allowing(namespaces={"from": "All"}), "b", "Accepted"),
        (_allowing(namespaces=FROM_WEB), "b", "Accepted"),
        (_allowing(namespaces=FROM_WEB), "a", "NotAllowedByListeners"),
        (_allowing(kinds=[{"kind": "HTTPRoute"}]), "a", "Accepted"),
        (_allowing(kinds=[{"kind": "GRPCRoute"}]), "a", "NotAllowedByListeners"),
        (_listener(protocol="TCP"), "a", "NotAllowedByListeners"),
    ],
)
def test_a_listener_says_whose_routes_it_takes(listener: Object, namespace: str, reason: str) -> None:
    assert _outcome(listener, namespace=namespace) == reason


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ({"sectionName": "http"}, "Accepted"),
        ({"sectionName": "other"}, "NoMatchingParent"),
        ({"port": 80}, "Accepted"),
        ({"port": 81}, "NoMatchingParent"),
    ],
)
def test_a_route_says_which_listener_it_means(ref: Object, reason: str) -> None:
    assert _outcome(_listener(), {"name": "gw", **ref}) == reason


def test_names_nobody_shares_attach_nowhere() -> None:
    assert _outcome(_listener(hostname="a.test"), hostnames=["b.test"]) == "NoMatchingListenerHostname"


def test_a_port_speaks_one_protocol_and_the_first_gateway_says_which() -> None:
    first = _gateway(_listener("a", 90), _listener("b", 443), _listener("c", 91), _listener("d", 91, "HTTPS"))
    second = _gateway(_listener("e", 90, "HTTPS"), _listener("f", 92, "UDP"), _listener("g", 90), name="second")
    told = {one.name: one.refused for one in listeners([first, second], [])}
    conflicts = dict.fromkeys("bcdeg", "ProtocolConflict")
    assert told == {"a": "", "f": "UnsupportedProtocol", **conflicts}


def _grant(to: Any, of: str = "a", kind: str = "HTTPRoute") -> Object:
    who = {"group": "gateway.networking.k8s.io", "kind": kind, "namespace": of}
    return {"metadata": {"namespace": "b"}, "spec": {"from": [who], "to": [{"group": "", **to}]}}


@pytest.mark.parametrize(
    ("grant", "may"),
    [
        (_grant({"kind": "Service"}), True),
        (_grant({"kind": "Service", "name": "x"}), True),
        (_grant({"kind": "Service", "name": "y"}), False),
        (_grant({"kind": "Secret"}), False),
        (_grant({"kind": "Service"}, of="c"), False),
        (_grant({"kind": "Service"}, kind="Gateway"), False),
    ],
)
def test_a_grant_lets_whom_it_names_name_what_it_names(grant: Object, may: bool) -> None:
    assert may_name("HTTPRoute", "a", "Service", Key("b", "x"), [grant]) is may
    assert may_name("HTTPRoute", "b", "Service", Key("b", "x"), [])


@pytest.mark.parametrize(
    ("rule", "is_served"),
    [
        ({"matches": [{"path": {"type": "RegularExpression", "value": "/(a|b)+"}}]}, True),
        ({"matches": [{"path": {"type": "RegularExpression", "value": "/(a"}}]}, False),
        ({"matches": [{"headers": [{"type": "RegularExpression", "name": "a", "value": "[[:x:]]"}]}]}, False),
        ({"matches": [{"headers": [{"name": "a", "value": "b\n  server evil"}]}]}, False),
        ({"filters": [{"type": "ExtensionRef"}]}, False),
        ({"backendRefs": [{"name": "x", "filters": [{"type": "ExtensionRef"}]}]}, False),
    ],
)
def test_what_a_proxy_could_not_read_is_not_served(rule: Object, is_served: bool) -> None:
    assert (not unsupported({"spec": {"rules": [rule]}})) is is_served


@pytest.mark.parametrize(
    ("frontend", "refused"),
    [
        ({}, ""),
        ({"default": {"validation": {}}}, ""),
        ({"default": {"validation": {"caCertificateRefs": []}}}, "UnsupportedValue"),
        ({"default": {"validation": {"caCertificateRefs": []}}, "perPort": [{"port": 443, "tls": {}}]}, ""),
        ({"perPort": [{"port": 443, "tls": {"validation": {"caCertificateRefs": []}}}]}, "UnsupportedValue"),
    ],
)
def test_who_wants_client_certificates_is_not_served_without(frontend: Object, refused: str) -> None:
    gateway = _gateway(_listener("tls", 443, "HTTPS"), _listener())
    gateway["spec"]["tls"] = {"frontend": frontend}
    assert [one.refused for one in listeners([gateway], [])] == [refused, ""]
