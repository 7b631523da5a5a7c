"""Load balancers made of the nodes: which addresses a Service is given, and who gets a port that two ask for."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.loadbalancer import FROM_POOL
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.controllers import servicelb
from pylet.server.controllers.servicelb.pool import parse
from pylet.server.reconcile.plan import Patch, Plan, Update
from tests.server.controllers.picture import NOW, obj, view


def _node(name: str, *addresses: str, ready: bool = True, **labels: str) -> Object:
    return obj(
        "v1",
        "Node",
        name,
        namespace="",
        meta={"labels": labels},
        spec={},
        status={
            "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
            "addresses": [{"type": "InternalIP", "address": address} for address in addresses],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    )


def _service(name: str = "web", *, port: int = 80, protocol: str = "TCP", meta: Any = None, **rest: Any) -> Object:
    status = rest.pop("status", {"loadBalancer": {}})
    spec = {"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ports": [{"port": port, "protocol": protocol}], **rest}
    return obj("v1", "Service", name, meta=meta or {}, spec=spec, status=status)


def _slice(service: str, **ready_by_node: bool) -> Object:
    return obj(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        f"{service}-1",
        meta={"labels": {"kubernetes.io/service-name": service}},
        addressType="IPv4",
        endpoints=[
            {"addresses": ["10.42.0.5"], "nodeName": node, "conditions": {"ready": ready}}
            for node, ready in ready_by_node.items()
        ],
    )


HELD = {"finalizers": [servicelb.CLEANUP]}
SERVED = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}, {"ip": "10.0.0.2", "ipMode": "VIP"}]}}
NODES = (_node("a", "10.0.0.1", "fd00::1"), _node("b", "10.0.0.2", "fd00::2"))


def _given(name: str, *objects: Object) -> list[str] | None:
    """The addresses the Service is given; None where its status is left alone."""
    actions = servicelb.plan(Key("default", name), view(*objects), NOW).actions
    patches = [action for action in actions if isinstance(action, Patch)]
    if not patches:
        return None
    (patch,) = patches
    assert (patch.kind, patch.subresource) == (SERVICE, "status")
    return [item["ip"] for item in patch.patch["status"].get("loadBalancer", {}).get("ingress") or ()]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([_service(), *NODES], ["10.0.0.1", "10.0.0.2"], id="every node serves"),
        pytest.param(
            [_service(ipFamilies=["IPv6", "IPv4"]), *NODES],
            ["fd00::1", "fd00::2", "10.0.0.1", "10.0.0.2"],
            id="in the families of the service",
        ),
        pytest.param([_service(), NODES[0], _node("c", "10.0.0.3", ready=False)], ["10.0.0.1"], id="ready ones alone"),
        pytest.param(
            [_service(), *NODES, _node("c", "10.0.0.3", **{"pylet.io/servicelb": "true"})],
            ["10.0.0.3"],
            id="labelled ones alone, where there are any",
        ),
        pytest.param(
            [
                _service(),
                NODES[0],
                _node("c", "10.0.0.3", **{"node.kubernetes.io/exclude-from-external-load-balancers": ""}),
            ],
            ["10.0.0.1"],
            id="no excluded one",
        ),
        pytest.param(
            [_service(externalTrafficPolicy="Local"), *NODES, _slice("web", a=False, b=True)],
            ["10.0.0.2"],
            id="with the local policy, those with endpoints that are ready",
        ),
        pytest.param([_service(externalTrafficPolicy="Local"), *NODES], None, id="with the local policy, else none"),
        pytest.param(
            [_service(externalTrafficPolicy="Local", status=SERVED), *NODES, _slice("web", a=False, b=True)],
            ["10.0.0.2"],
            id="with the local policy, a node whose endpoints have gone is not named any more",
        ),
        pytest.param(
            [_service(externalTrafficPolicy="Local", status=SERVED), *NODES, _slice("web", a=False, b=False)],
            [],
            id="with the local policy, none is when all have gone",
        ),
        pytest.param([_service(loadBalancerClass="example.test/other"), *NODES], None, id="not somebody else's"),
        pytest.param(
            [_service(status={"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}}), NODES[0]],
            None,
            id="nothing is written twice",
        ),
        pytest.param(
            [_service(type="ClusterIP", status={"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}), *NODES],
            [],
            id="what is no balancer any more loses its addresses",
        ),
    ],
)
def test_addresses(objects: list[Object], expected: list[str] | None) -> None:
    assert _given("web", *objects) == expected


@pytest.mark.parametrize(
    ("service", "serves"),
    [
        pytest.param(_service("late"), False, id="the same port"),
        pytest.param(_service("late", port=81), True, id="another port"),
        pytest.param(_service("late", protocol="UDP"), True, id="another protocol"),
        pytest.param(_service("late", ipFamilies=["IPv6"]), True, id="another family"),
        pytest.param(_service("late", port=10250), False, id="the kubelet's"),
    ],
)
def test_a_port_belongs_to_the_oldest_service(service: Object, serves: bool) -> None:
    older = _service("early", meta={"creationTimestamp": "2026-01-01T10:00:00Z"})
    assert bool(_given("late", older, service, *NODES)) is serves
    assert _given("early", older, service, *NODES)


def test_where_nodes_serve_ingresses_their_ports_are_taken() -> None:
    node = _node("a", "10.0.0.1")
    node["metadata"]["annotations"] = {"pylet.io/ingress": "true"}
    assert not _given("web", _service(port=443), node)
    assert _given("web", _service(port=8443), node)


def test_a_conflict_is_told_once_and_forgotten_when_it_is_over() -> None:
    older = _service("early", meta={"creationTimestamp": "2026-01-01T10:00:00Z"})
    late = _service("late", meta=HELD)
    (patch,) = servicelb.plan(Key("default", "late"), view(older, late, *NODES), NOW).actions
    assert isinstance(patch, Patch)
    assert patch.told is not None
    assert patch.told.message == "port 80/TCP is in use by Service default/early"
    told = {**late, "status": {"loadBalancer": {}, "conditions": patch.patch["status"]["conditions"]}}
    assert not servicelb.plan(Key("default", "late"), view(older, told, *NODES), NOW).actions
    (patch,) = servicelb.plan(Key("default", "late"), view(told, *NODES), NOW).actions
    assert isinstance(patch, Patch)
    assert (patch.patch["status"]["conditions"], patch.told) == ([], None)
    assert len(patch.patch["status"]["loadBalancer"]["ingress"]) == 2


# ---- the finalizer


ENDING = {**HELD, "deletionTimestamp": "2026-01-01T10:00:00Z"}
POOLED = {"loadBalancer": {"ingress": [{"ip": "10.9.0.1"}]}, "conditions": [{"type": FROM_POOL, "status": "True"}]}
OTHERS = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}


@pytest.mark.parametrize(
    ("decide", "service", "finalizers"),
    [
        pytest.param(servicelb.plan, _service(), [servicelb.CLEANUP], id="a Service is held before it is served"),
        pytest.param(servicelb.plan, _service(meta=HELD, status=SERVED), None, id="once"),
        pytest.param(servicelb.plan, _service(meta=ENDING), [], id="one that is deleted is let go"),
        pytest.param(servicelb.plan, _service(meta=HELD, type="ClusterIP"), [], id="one of another type, too"),
        pytest.param(servicelb.plan, _service(meta=ENDING, loadBalancerClass="x.test/y"), None, id="not another's"),
        pytest.param(servicelb.leave, _service(meta=HELD, status=SERVED), [], id="who leaves lets go of the nodes'"),
        pytest.param(servicelb.leave, _service(meta=HELD, status=POOLED), [], id="and of the pool's"),
        pytest.param(servicelb.leave, _service(meta=HELD, status=OTHERS), None, id="not of what others gave"),
        pytest.param(servicelb.leave, _service(status=SERVED), None, id="nor of what it does not hold"),
    ],
)
def test_a_service_stays_until_it_is_served_no_more(
    decide: Callable[..., Plan], service: Object, finalizers: list[str] | None
) -> None:
    actions = decide(Key("default", "web"), view(service, *NODES), NOW).actions
    updates = [action.object["metadata"]["finalizers"] for action in actions if isinstance(action, Update)]
    assert updates == ([] if finalizers is None else [finalizers])


# ---- the pool


def _pool(text: str) -> Object:
    return obj("v1", "ConfigMap", "pylet-load-balancer", namespace="kube-system", data={"pool": text})


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([_service(), _pool("10.0.0.9/32"), *NODES], ["10.0.0.9"], id="where there is a pool it gives"),
        pytest.param([_service(), _pool(""), *NODES], ["10.0.0.1", "10.0.0.2"], id="an empty one does not"),
        pytest.param(
            [_service(loadBalancerClass="pylet.io/nodes"), _pool("10.0.0.9/32"), *NODES],
            ["10.0.0.1", "10.0.0.2"],
            id="a class chooses the nodes",
        ),
        pytest.param([_service(loadBalancerClass="pylet.io/pool"), *NODES], [], id="or the pool, be there one or not"),
        pytest.param(
            [
                _service("a", port=80, meta={"creationTimestamp": "2026-01-01T00:00:00Z"}),
                _service(),
                _pool("10.0.0.8/31"),
            ],
            ["10.0.0.9"],
            id="there ports are no matter",
        ),
    ],
)
def test_addresses_of_a_pool(objects: list[Object], expected: list[str]) -> None:
    assert _given("web", *objects) == expected


def test_a_service_without_an_address_is_told_once() -> None:
    service = _service(meta=HELD, loadBalancerClass="pylet.io/pool")
    (patch,) = servicelb.plan(Key("default", "web"), view(service), NOW).actions
    assert isinstance(patch, Patch)
    assert patch.told is not None
    assert patch.told.reason == "LoadBalancerAddress"
    told = {**service, "status": patch.patch["status"]}
    assert not servicelb.plan(Key("default", "web"), view(told), NOW).actions
    (patch,) = servicelb.plan(Key("default", "web"), view(told, _pool("10.0.0.8/31")), NOW).actions
    assert isinstance(patch, Patch)
    assert [item["status"] for item in patch.patch["status"]["conditions"]] == ["True"]


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("10.0.0.240", True),
        ("10.0.0.250", True),
        ("10.0.0.239", False),
        ("10.0.0.251", False),
        ("fd00::11", True),
        ("fd00::10", False),
        ("fd00::1f", False),
        ("::a00:f0", False),
    ],
    ids=[
        "the first",
        "the last",
        "before",
        "behind",
        "in a network",
        "the network's own",
        "the network's last",
        "of that number in IPv6",
    ],
)
def test_a_pool_knows_its_addresses(address: str, is_in: bool) -> None:
    pool = parse("10.0.0.240-10.0.0.250 fd00::10/124")
    assert (ip_address(address) in pool) is is_in


@pytest.mark.parametrize(
    ("services", "concerned"),
    [([], []), ([_service(type="ClusterIP")], []), ([_service()], ["web"])],
    ids=["nobody's", "not balanced", "balanced"],
)
def test_a_slice_concerns_its_service_where_that_is_balanced(services: list[Object], concerned: list[str]) -> None:
    watch = next(watch for watch in servicelb.controller().watches if watch.kind is ENDPOINT_SLICE)
    found = Entry.of(ENDPOINT_SLICE, _slice("web", a=True))
    assert [key.name for key in watch.keys(found, view(*services))] == concerned


def test_a_service_that_goes_leaves_its_address_to_others() -> None:
    old = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    pool = _pool("10.0.0.9/32")
    assert _given("web", _service("a", port=81, meta=old), _service(), pool) == []
    leaves = {**old, "deletionTimestamp": "2026-01-01T11:59:00Z"}
    assert _given("web", _service("a", port=81, meta=leaves), _service(), pool) == ["10.0.0.9"]
