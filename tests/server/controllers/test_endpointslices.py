"""EndpointSlices: hints for near endpoints, pods without a node, and Endpoints that are mirrored."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api import zone_hints
from pylet.api.backends import MANAGED_BY, SERVICE_NAME
from pylet.api.errors import Conflict, Forbidden
from pylet.api.object import Key, Object
from pylet.server.controllers import endpoints as endpoints_controller
from pylet.server.controllers import endpointslice, endpointslice_mirroring
from pylet.server.reconcile.plan import Action, Create, Delete, Emit, Update
from tests.server.controllers.picture import EARLIER, NOW, obj, pod, view

KEY = Key("default", "web")
ZONE = {"topology.kubernetes.io/zone": "a"}
NODE = obj("v1", "Node", "n", namespace="", meta={"labels": ZONE}, spec={})


def service(**spec: Any) -> Object:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}], "ipFamilies": ["IPv4"], **spec}
    return obj("v1", "Service", "web", spec=spec)


def worker(**rest: Any) -> Object:
    found = pod("p", **rest)
    found["status"]["podIPs"] = [{"ip": "10.0.0.1"}]
    return found


def created(*objects: Object) -> Object:
    (create,) = endpointslice.controller().plan(KEY, view(*objects), NOW).actions
    assert isinstance(create, Create)
    return create.object


@pytest.mark.parametrize(
    ("wish", "hints"),
    [
        (None, None),
        ("PreferClose", {"forZones": [{"name": "a"}]}),
        ("PreferSameZone", {"forZones": [{"name": "a"}]}),
        ("PreferSameNode", {"forZones": [{"name": "a"}], "forNodes": [{"name": "n"}]}),
    ],
)
def test_traffic_is_kept_near(wish: str | None, hints: Object | None) -> None:
    (endpoint,) = created(service(trafficDistribution=wish), NODE, worker())["endpoints"]
    assert endpoint.get("hints") == hints
    (unready,) = created(service(trafficDistribution=wish), NODE, worker(ready=False))["endpoints"]
    assert "hints" not in unready


def test_topology_mode_auto_gives_every_zone_its_endpoints() -> None:
    auto = service(trafficDistribution="PreferSameNode")
    auto["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
    status = {"allocatable": {"cpu": "2"}, "conditions": [{"type": "Ready", "status": "True"}]}
    nodes = [
        obj("v1", "Node", name, namespace="", meta={"labels": {zone_hints.ZONE: zone}}, spec={}, status=status)
        for name, zone in (("n", "a"), ("m", "b"))
    ]
    pods = [pod(f"p{number}", node="n") for number in range(4)]
    for number, each in enumerate(pods):
        each["status"]["podIPs"] = [{"ip": f"10.0.0.{number}"}]
    create, told = endpointslice.controller().plan(KEY, view(auto, *nodes, *pods), NOW).actions
    assert isinstance(create, Create)
    assert isinstance(told, Emit)
    assert sorted(each["hints"]["forZones"][0]["name"] for each in create.object["endpoints"]) == ["a", "a", "b", "b"]
    assert told.message == "Topology Aware Hints has been enabled, addressType: IPv4"
    create, told = endpointslice.controller().plan(KEY, view(auto, nodes[0], *pods), NOW).actions
    assert isinstance(create, Create)
    assert isinstance(told, Emit)
    assert not any("hints" in each for each in create.object["endpoints"])
    assert (told.type, told.reason) == ("Warning", "TopologyAwareHintsDisabled")


PORTS = [
    {"name": "named", "port": 80, "targetPort": "web", "appProtocol": "kubernetes.io/h2c"},
    {"name": "numbered", "port": 81, "targetPort": 8081, "protocol": "UDP"},
    {"name": "lacking", "port": 82, "targetPort": "nobody's"},
]


def test_a_slice_has_the_ports_that_its_pods_have() -> None:
    containers = [{"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": 8080}]}]
    serving = worker(spec={"containers": containers})
    assert created(service(ports=PORTS), NODE, serving)["ports"] == [
        {"name": "named", "port": 8080, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
        {"name": "numbered", "port": 8081, "protocol": "UDP"},
    ]


def test_what_is_written_already_is_left_alone() -> None:
    of = endpointslice.controller()
    (create,) = of.plan(KEY, view(service(), NODE, worker()), NOW).actions
    assert isinstance(create, Create)
    made = {**create.object, "metadata": {**create.object["metadata"], "name": "web", "uid": "s"}}
    assert of.plan(KEY, view(service(), NODE, worker(), made), NOW).actions == ()


@pytest.mark.parametrize(("publish", "shown"), [(False, 0), (True, 1)])
def test_a_pod_whose_node_is_unknown_shows_only_where_all_do(publish: bool, shown: int) -> None:
    assert len(created(service(publishNotReadyAddresses=publish), worker())["endpoints"]) == shown


def test_slices_of_another_service_of_this_name_go() -> None:
    labels = {SERVICE_NAME: "web", MANAGED_BY: endpointslice.MANAGER}
    owner = [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "gone"}]
    meta = {"labels": labels, "ownerReferences": owner}
    old = obj("discovery.k8s.io/v1", "EndpointSlice", "web-1", meta=meta, addressType="IPv4", endpoints=[], ports=[])
    actions = endpointslice.controller().plan(KEY, view(service(), old), NOW).actions
    assert [type(action) for action in actions] == [Delete, Create]


def empty(name: str, **meta: Any) -> Object:
    labels = {SERVICE_NAME: "web", MANAGED_BY: endpointslice.MANAGER}
    owner = [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "web"}]
    meta = {"labels": labels, "ownerReferences": owner, **meta}
    return obj("discovery.k8s.io/v1", "EndpointSlice", name, meta=meta, addressType="IPv4", endpoints=[], ports=[])


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([empty("a")], []),
        ([empty("a"), empty("b")], [Delete]),
        ([empty("a", deletionTimestamp="2026-01-01T11:59:00Z", finalizers=["x"])], [Create]),
    ],
    ids=["one that is empty stays", "a second one goes", "one that is going counts for nothing"],
)
def test_a_service_without_pods_has_one_slice(slices: list[Object], expected: list[type]) -> None:
    actions = endpointslice.controller().plan(KEY, view(service(), *slices), NOW).actions
    assert [type(action) for action in actions] == expected


@pytest.mark.parametrize("of", [endpointslice, endpoints_controller], ids=["EndpointSlice", "Endpoints"])
def test_what_is_written_says_since_when_it_was_out_of_date(of: Any) -> None:
    name, plan = "endpoints.kubernetes.io/last-change-trigger-time", of.controller().plan
    (create,) = plan(KEY, view(service(), NODE, worker()), NOW).actions
    assert create.object["metadata"]["annotations"] == {name: EARLIER}
    made = {**create.object, "metadata": {**create.object["metadata"], "name": "web", "uid": "s"}}
    later = worker()
    later["status"]["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T11:30:00Z"}]
    (update,) = plan(KEY, view(service(), NODE, later, made), NOW).actions
    assert update.object["metadata"]["annotations"] == {name: "2026-01-01T11:30:00Z"}
    labelled = service()
    labelled["metadata"]["labels"] = {"a": "b"}
    made = {**update.object, "metadata": {**update.object["metadata"], "resourceVersion": "2"}}
    (update,) = plan(KEY, view(labelled, NODE, later, made), NOW).actions
    assert update.object["metadata"]["annotations"] == {}


@pytest.mark.parametrize(
    ("of", "reason"),
    [(endpointslice, "FailedToUpdateEndpointSlices"), (endpoints_controller, "FailedToCreateEndpoint")],
    ids=["EndpointSlice", "Endpoints"],
)
def test_a_write_that_is_refused_is_told_of_unless_somebody_was_faster(of: Any, reason: str) -> None:
    (create,) = of.controller().plan(KEY, view(service(), NODE, worker()), NOW).actions
    (told,) = create.refused(Forbidden("", "endpoints", "web"))
    assert (told.type, told.reason) == ("Warning", reason)
    assert create.refused(Conflict("", "endpoints", "web", "late")) == ()


# ---- mirrored


def endpoints(*addresses: str, meta: Object | None = None) -> Object:
    subset = {"addresses": [{"ip": ip} for ip in addresses], "ports": [{"name": "", "port": 80, "protocol": "TCP"}]}
    return obj("v1", "Endpoints", "web", meta=meta or {}, subsets=[subset])


def mirror(*objects: Object) -> tuple[Action, ...]:
    return endpointslice_mirroring.plan(KEY, view(*objects), NOW).actions


def test_each_family_gets_its_slice_and_then_all_is_done() -> None:
    bare = service(selector=None)
    given = endpoints("10.0.0.1", "fd00::1", meta={"labels": {"a": "b"}, "annotations": {"c": "d"}})
    actions = mirror(bare, given)
    made = [action.object for action in actions if isinstance(action, Create)]
    assert [one["addressType"] for one in made] == ["IPv4", "IPv6"]
    assert made[0]["metadata"]["annotations"] == {"c": "d"}
    stored = [{**one, "metadata": {**one["metadata"], "name": str(n), "uid": str(n)}} for n, one in enumerate(made)]
    assert mirror(bare, given, *stored) == ()
    (update,) = mirror(bare, endpoints("10.0.0.2", "fd00::1", meta=given["metadata"]), *stored)
    assert isinstance(update, Update)
    assert [type(action) for action in mirror(service(), given, *stored)] == [Delete, Delete]


@pytest.mark.parametrize(
    "meta",
    [
        {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}},
    ],
)
def test_what_is_no_service_is_not_mirrored(meta: Object) -> None:
    assert mirror(service(selector=None), endpoints("10.0.0.1", meta=meta)) == ()


def test_too_many_addresses_are_told_of() -> None:
    many = endpoints(*(f"10.0.{number // 250}.{number % 250 + 1}" for number in range(1003)))
    told, create = mirror(service(selector=None), many)
    assert isinstance(told, Emit)
    assert told.message.endswith("3 addresses were skipped")
    assert isinstance(create, Create)
    assert len(create.object["endpoints"]) == 1000


# ---- Endpoints


@pytest.mark.parametrize(
    ("ready", "unready", "kept"),
    [(600, 300, (600, 300)), (900, 300, (900, 100)), (1200, 50, (1000, 0))],
)
def test_endpoints_hold_a_thousand_addresses_ready_ones_first(ready: int, unready: int, kept: tuple[int, int]) -> None:
    pods = []
    for number in range(ready + unready):
        one = pod(f"p{number:04}", ready=number < ready)
        one["status"]["podIPs"] = [{"ip": f"10.0.{number // 250}.{number % 250 + 1}"}]
        pods.append(one)
    (create,) = endpoints_controller.controller().plan(KEY, view(service(), *pods), NOW).actions
    assert isinstance(create, Create)
    (subset,) = create.object["subsets"]
    assert (len(subset["addresses"]), len(subset.get("notReadyAddresses", ()))) == kept
    over = create.object["metadata"]["annotations"].get("endpoints.kubernetes.io/over-capacity") == "truncated"
    assert over == (ready + unready > 1000)


def test_pods_of_other_ports_share_the_thousand() -> None:
    pods = []
    for number in range(2001):
        one = pod(f"p{number:04}")
        one["status"]["podIPs"] = [{"ip": f"10.0.{number // 250}.{number % 250 + 1}"}]
        one["spec"]["containers"] = [{"name": "c", "ports": [{"name": "web", "containerPort": 80 + number % 3}]}]
        pods.append(one)
    web = service(ports=[{"port": 80, "targetPort": "web"}])
    (create,) = endpoints_controller.controller().plan(KEY, view(web, *pods), NOW).actions
    assert isinstance(create, Create)
    found = {subset["ports"][0]["port"]: len(subset["addresses"]) for subset in create.object["subsets"]}
    assert found == {80: 334, 81: 334, 82: 332}


@pytest.mark.parametrize("managed_by", ["endpoint-controller", "somebody", ""])
def test_endpoints_go_with_their_service_if_they_were_made_for_it(managed_by: str) -> None:
    labels = {"endpoints.kubernetes.io/managed-by": managed_by} if managed_by else {}
    found = endpoints("10.0.0.1", meta={"labels": labels})
    actions = endpoints_controller.controller().plan(KEY, view(found), NOW).actions
    assert [type(action) for action in actions] == ([Delete] if managed_by == "endpoint-controller" else [])
    assert endpoints_controller.controller().plan(KEY, view(), NOW).actions == ()
