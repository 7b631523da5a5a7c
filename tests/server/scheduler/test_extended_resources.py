"""Extended resources that devices stand in for: which class, what is claimed, and on which nodes."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Object
from pylet.server.scheduler.devices import extended
from pylet.server.scheduler.devices.claims import assume
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.plugins.dynamic_resources import PLUGIN
from tests.server.scheduler.devices import device, device_class, slice_of
from tests.server.scheduler.kit import node, placed, snapshot_of, view_of

GPU = "example.com/gpu"


def container(name: str, count: int, **more: Any) -> Object:
    return {"name": name, "resources": {"requests": {"cpu": "1", GPU: str(count)}}, **more}


def pod(*containers: Object, init: tuple[Object, ...] = (), name: str = "p") -> Pending:
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    spec = {"containers": list(containers), "initContainers": list(init)}
    return Pending({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {}})


def made(name: str, at: str, **spec: Any) -> Object:
    of = device_class(name, **spec)
    return {**of, "metadata": {"name": name, "creationTimestamp": at}}


@pytest.mark.parametrize(
    ("resource", "classes", "expected"),
    [
        (GPU, [made("a", "2026-01-01T00:00:00Z", extendedResourceName=GPU)], "a"),
        (
            GPU,
            [
                made("a", "2026-01-01T00:00:00Z", extendedResourceName=GPU),
                made("b", "2026-01-02T00:00:00Z", extendedResourceName=GPU),
            ],
            "b",
        ),
        (
            GPU,
            [
                made("b", "2026-01-01T00:00:00Z", extendedResourceName=GPU),
                made("a", "2026-01-01T00:00:00Z", extendedResourceName=GPU),
            ],
            "a",
        ),
        ("deviceclass.resource.kubernetes.io/a", [made("a", "2026-01-01T00:00:00Z")], "a"),
        (GPU, [made("a", "2026-01-01T00:00:00Z")], None),
    ],
    ids=["the one that names it", "of two the younger", "of equals the first by name", "the one it names", "none"],
)
def test_which_class_stands_for_a_resource(resource: str, classes: list[Object], expected: str | None) -> None:
    of = pod({"name": "c", "resources": {"requests": {resource: "1"}}})
    assert extended.classes(of, view_of(*classes)).get(resource) == expected


def meant(found: extended.Extended) -> tuple[dict[str, int], list[tuple[str, str]]]:
    counts = {each["name"]: each["exactly"]["count"] for each in found.claim["spec"]["devices"]["requests"]}
    return counts, [(each["containerName"], each["requestName"]) for each in found.mappings]


def test_containers_that_run_together_have_devices_of_their_own() -> None:
    assert meant(extended.special(pod(container("a", 2), container("b", 1)), {GPU: "gpu"})) == (
        {"container-0-request-1": 2, "container-1-request-1": 1},
        [("a", "container-0-request-1"), ("b", "container-1-request-1")],
    )


def test_those_that_pass_share_what_is_there_later_and_one_request_for_what_is_not() -> None:
    init = (container("i", 1), container("j", 3), container("k", 4))
    assert meant(extended.special(pod(container("a", 2), init=init), {GPU: "gpu"})) == (
        {"container-2-request-1": 2, "container-3-request-1": 2},
        [
            ("a", "container-3-request-1"),
            ("i", "container-3-request-1"),
            ("j", "container-3-request-1"),
            ("j", "container-2-request-1"),
            ("k", "container-3-request-1"),
            ("k", "container-2-request-1"),
        ],
    )


def test_a_sidecar_s_devices_are_those_of_who_came_before_it() -> None:
    init = (container("before", 1), container("side", 1, restartPolicy="Always"), container("after", 1))
    assert meant(extended.special(pod(init=init), {GPU: "gpu"})) == (
        {"container-1-request-1": 1, "container-2-request-1": 1},
        [
            ("side", "container-1-request-1"),
            ("before", "container-1-request-1"),
            ("after", "container-2-request-1"),
        ],
    )


CLASS = device_class("gpu", extendedResourceName=GPU)


@pytest.mark.parametrize(
    ("status", "devices", "expected"),
    [
        ({}, ["d"], "n"),
        ({}, [], "0/1 nodes are available: 1 cannot allocate all claims"),
        ({"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", GPU: "1"}}, [], "n"),
    ],
    ids=["a device", "no device", "a device plugin"],
)
def test_where_a_pod_goes(status: Object, devices: list[str], expected: str) -> None:
    slices = [slice_of(*(device(name) for name in devices))] if devices else []
    found = placed(pod(container("a", 1)), node("n", status=status or None), objects=[CLASS, *slices])
    assert found.startswith(expected)


def test_what_is_chosen_counts_as_given() -> None:
    snapshot = snapshot_of([node("n")], objects=[CLASS, slice_of(device("d"))])
    ledger = snapshot.device_ledger()
    reservation = assume(pod(container("a", 1)), snapshot.nodes["n"], snapshot.view, ledger)
    ((claim, allocation),) = reservation.claims
    assert allocation is not None
    assert [result["device"] for result in allocation["devices"]["results"]] == ["d"]
    assert reservation.mappings == [{"containerName": "a", "resourceName": GPU, "requestName": "container-0-request-1"}]
    assert ledger.forget(claim["metadata"]["uid"]) is not None


def test_a_pod_of_a_device_plugin_s_has_nothing_to_do_with_devices() -> None:
    of = pod(container("a", 1))
    assert PLUGIN.concerns(of)
    assert not PLUGIN.has_any(of, snapshot_of([node("n")], objects=[device_class("other")]))
    assert PLUGIN.has_any(of, snapshot_of([node("n")], objects=[CLASS]))
    assert not PLUGIN.concerns(pod({"name": "c", "resources": {"requests": {"cpu": "1"}}}))
