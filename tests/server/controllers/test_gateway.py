"""What GatewayClasses, Gateways, listeners, routes and nodes are told."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from pylet.api import gateway as api
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import gateway
from pylet.server.reconcile.plan import Create, Patch
from tests.server.controllers.picture import NOW, obj, view

KINDS = {
    kind.name: Kind(kind.group, kind.version, kind.name, kind.plural, definition="")
    for kind in (api.GATEWAY_CLASS, api.GATEWAY, api.HTTP_ROUTE, api.REFERENCE_GRANT)
}
GROUP = "gateway.networking.k8s.io"
DEFINED = [
    obj(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        f"{kind.plural}.{GROUP}",
        namespace="",
        status={"conditions": [{"type": "Established", "status": "True"}]},
    )
    for kind in KINDS.values()
]
PEM = b64encode(b"-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n").decode()
SERVICE = obj("v1", "Service", "x", spec={"ports": [{"port": 80}]})
SECRET = obj("v1", "Secret", "good", data={"tls.crt": PEM, "tls.key": PEM})
GARBLED = obj("v1", "Secret", "bad", data={"tls.crt": "eA==", "tls.key": "eA=="})
READY = {
    "conditions": [{"type": "Ready", "status": "True"}],
    "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
}
HERE = obj(
    "v1", "Node", "here", namespace="", spec={}, status=READY, meta={"annotations": {"pylet.io/ingress": "true"}}
)
CLASS = obj(
    f"{GROUP}/v1", "GatewayClass", "pylet", namespace="", spec={"controllerName": "pylet.io/gateway-controller"}
)


def _gateway(*listeners: Object, name: str = "gw", **spec: Any) -> Object:
    return obj(f"{GROUP}/v1", "Gateway", name, spec={"gatewayClassName": "pylet", "listeners": list(listeners), **spec})


def _listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **spec: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, **spec}


def _secure(secret: Any) -> Object:
    return _listener("tls", 443, "HTTPS", tls={"certificateRefs": [secret]})


def _route(*refs: Object, to: str = "gw", **spec: Any) -> Object:
    return obj(
        f"{GROUP}/v1",
        "HTTPRoute",
        "r",
        spec={"parentRefs": [{"name": to}], "rules": [{"backendRefs": list(refs)}], **spec},
    )


def _told(*objects: Object) -> dict[str, Any]:
    """The statuses and annotations written, by kind and name."""
    controller = gateway.controller()
    assert controller.custom is not None
    custom, builtin = (
        [one for one in objects if one["kind"] in KINDS],
        [one for one in objects if one["kind"] not in KINDS],
    )
    tables = dict(view(*DEFINED, *builtin)._tables)
    for kind in KINDS.values():
        controller.custom(kind)
        tables[kind] = Table(kind)
    for one in custom:
        tables[KINDS[one["kind"]]].put(Entry.of(KINDS[one["kind"]], one))
    found: dict[str, Any] = {}
    for action in controller.plan(Key("", "gateway"), View(tables), NOW).actions:
        if isinstance(action, Create):
            found["made"] = action.object
        else:
            assert isinstance(action, Patch)
            found[action.kind.name] = action.patch["metadata"] if action.kind is NODE else action.patch["status"]
    return found


def _reasons(conditions: list[Object]) -> dict[str, str]:
    return {one["type"]: one["reason"] if one["status"] == "True" else f"not: {one['reason']}" for one in conditions}


def test_the_class_is_made_and_accepted_and_nodes_hear_nothing_yet() -> None:
    assert _told()["made"]["spec"] == CLASS["spec"]
    told = _told(CLASS, HERE)
    assert _reasons(told["GatewayClass"]["conditions"]) == {"Accepted": "Accepted"}
    assert told.keys() == {"GatewayClass"}


def test_nodes_hear_of_the_first_gateway_and_the_last() -> None:
    assert _told(CLASS, HERE, _gateway(_listener()))["Node"] == {"annotations": {"pylet.io/gateway": "true"}}
    asked = obj("v1", "Node", "n", namespace="", meta={"annotations": {"pylet.io/gateway": "true"}})
    assert _told(CLASS, asked)["Node"] == {"annotations": {"pylet.io/gateway": None}}


def test_somebody_elses_gateway_is_left_alone() -> None:
    other = _gateway(_listener(), gatewayClassName="other")
    assert _told(CLASS, HERE, other, _route()).keys() == {"GatewayClass"}


@pytest.mark.parametrize(
    ("nodes", "spec", "conditions", "addresses"),
    [
        ([HERE], {}, {"Accepted": "Accepted", "Programmed": "Programmed"}, ["10.0.0.1"]),
        ([], {}, {"Accepted": "Accepted", "Programmed": "not: AddressNotAssigned"}, []),
        (
            [HERE],
            {"addresses": [{"type": "IPAddress", "value": "10.0.0.9"}]},
            {"Accepted": "Accepted", "Programmed": "not: AddressNotUsable"},
            [],
        ),
        (
            [HERE],
            {"addresses": [{"type": "Hostname", "value": "a.test"}]},
            {"Accepted": "not: UnsupportedAddress", "Programmed": "not: AddressNotUsable"},
            [],
        ),
        (
            [HERE],
            {"infrastructure": {"parametersRef": {"group": "g", "kind": "K", "name": "n"}}},
            {"Accepted": "not: InvalidParameters", "Programmed": "not: Invalid"},
            ["10.0.0.1"],
        ),
    ],
)
def test_a_gateway_is_where_nodes_serve(nodes: Any, spec: Any, conditions: Any, addresses: Any) -> None:
    status = _told(CLASS, *nodes, _gateway(_listener(), **spec))["Gateway"]
    assert _reasons(status["conditions"]) == conditions
    assert [one["value"] for one in status["addresses"]] == addresses


FINE = {
    "Accepted": "Accepted",
    "Conflicted": "not: NoConflicts",
    "ResolvedRefs": "ResolvedRefs",
    "Programmed": "Programmed",
}


@pytest.mark.parametrize(
    ("listener", "conditions"),
    [
        (_listener(), {}),
        (_secure({"name": "good"}), {}),
        (_secure({"name": "bad"}), {"ResolvedRefs": "not: InvalidCertificateRef", "Programmed": "not: Invalid"}),
        (_secure({"name": "gone"}), {"ResolvedRefs": "not: InvalidCertificateRef", "Programmed": "not: Invalid"}),
        (
            _secure({"name": "far", "namespace": "other"}),
            {"ResolvedRefs": "not: RefNotPermitted", "Programmed": "not: Invalid"},
        ),
        (
            _secure({"name": "good", "kind": "Key"}),
            {"ResolvedRefs": "not: InvalidCertificateRef", "Programmed": "not: Invalid"},
        ),
        (_listener(protocol="TCP", port=99), {"Accepted": "not: UnsupportedProtocol", "Programmed": "not: Invalid"}),
        (
            _listener(port=443),
            {"Accepted": "not: ProtocolConflict", "Conflicted": "ProtocolConflict", "Programmed": "not: Invalid"},
        ),
        (
            _listener(allowedRoutes={"kinds": [{"kind": "GRPCRoute"}, {"kind": "HTTPRoute"}]}),
            {"ResolvedRefs": "not: InvalidRouteKinds"},
        ),
    ],
)
def test_a_listener_is_told_what_it_lacks(listener: Object, conditions: Any) -> None:
    (told,) = _told(CLASS, HERE, SECRET, GARBLED, _gateway(listener))["Gateway"]["listeners"]
    assert _reasons(told["conditions"]) == {**FINE, **conditions}


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ({"name": "x", "port": 80}, "ResolvedRefs"),
        ({"name": "gone", "port": 80}, "not: BackendNotFound"),
        ({"name": "x", "port": 81}, "not: BackendNotFound"),
        ({"name": "x", "kind": "Bucket", "group": "g"}, "not: InvalidKind"),
        ({"name": "x", "namespace": "other", "port": 80}, "not: RefNotPermitted"),
    ],
)
def test_a_route_is_told_of_its_backends(ref: Object, reason: str) -> None:
    told = _told(CLASS, HERE, SERVICE, _gateway(_listener()), _route(ref))
    (parent,) = told["HTTPRoute"]["parents"]
    assert _reasons(parent["conditions"]) == {"Accepted": "Accepted", "ResolvedRefs": reason}
    assert told["Gateway"]["listeners"][0]["attachedRoutes"] == 1


def test_what_others_told_a_route_stays_and_what_is_told_already_is_not_written() -> None:
    route = _route({"name": "x", "port": 80})
    route["status"] = {"parents": [{"parentRef": {"name": "gw"}, "controllerName": "other.io/c", "conditions": []}]}
    first = _told(CLASS, HERE, SERVICE, _gateway(_listener()), route)
    assert [one["controllerName"] for one in first["HTTPRoute"]["parents"]] == [
        "other.io/c",
        "pylet.io/gateway-controller",
    ]
    again = [{**CLASS, "status": first["GatewayClass"]}, {**route, "status": first["HTTPRoute"]}]
    asked = {
        **HERE,
        "metadata": {**HERE["metadata"], "annotations": {"pylet.io/ingress": "true", "pylet.io/gateway": "true"}},
    }
    gateway_again = {**_gateway(_listener()), "status": first["Gateway"]}
    assert not _told(*again, asked, SERVICE, gateway_again)
