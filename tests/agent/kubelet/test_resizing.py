"""A resize from wish to done, and what keeps it from being granted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pylet.agent.kubelet.allocations import Allocations
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.enforcing import enforce
from pylet.agent.kubelet.observed import GROUP
from pylet.agent.kubelet.resize import immovable, refusal
from pylet.agent.kubelet.resizing import Resizing
from pylet.agent.kubelet.settings import Settings
from pylet.api.object import Object
from pylet.cri.messages import LinuxResources
from tests.agent.kubelet.builders import container, instance, observed, pod

NODE: Object = {"status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}}


def asking(cpu: str, name: str = "web") -> Object:
    return pod(container(resources={"requests": {"cpu": cpu}}), meta={"name": name, "uid": name, "generation": 2})


def nobody() -> Iterable[Object]:
    return ()


@pytest.mark.parametrize(
    ("cpu", "others", "expected"),
    [
        ("2", [], None),
        ("3", [], ("Infeasible", "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000")),
        (
            "1500m",
            ["600m"],
            ("Deferred", "Node didn't have enough resource: cpu, requested: 1500, used: 600, capacity: 2000"),
        ),
        ("1400m", ["600m"], None),
    ],
    ids=["all there is", "more than there is", "more than is left", "what is left"],
)
def test_what_a_node_can_grant(cpu: str, others: list[str], expected: tuple[str, str] | None) -> None:
    assert refusal(asking(cpu), NODE, [asking(other, "other") for other in others]) == expected


def admitted(of: Object, root: Path, told: list[str]) -> Resizing:
    allocations = Allocations(root)
    allocations.admit(of)
    return Resizing.of(of, allocations, lambda type_, reason, message: told.append(reason))


def test_a_resize_is_granted_carried_out_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    resizing = admitted(asking("1"), tmp_path, told)
    running = observed(instance())
    resizing.follow(resizing.grant(asking("1"), NODE, nobody), running)
    assert resizing.conditions == []

    granted = resizing.grant(asking("2"), NODE, nobody)
    assert granted["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "2"}}
    resizing.follow(granted, running)
    assert [(c["type"], c["observedGeneration"]) for c in resizing.conditions] == [("PodResizeInProgress", 2)]

    resizing.enforced["main-0"] = resizing.enforced[GROUP] = {"requests": {"cpu": "2"}}
    resizing.follow(granted, running)
    assert resizing.conditions == []
    assert told == ["ResizeStarted", "ResizeCompleted"]


def test_a_pod_is_resized_as_a_whole(tmp_path: Path) -> None:
    def whole(memory: str) -> Object:
        return pod(container(), meta={"generation": 2}, resources={"limits": {"memory": memory}})

    told: list[str] = []
    resizing = admitted(whole("1Gi"), tmp_path, told)
    resizing.follow(whole("1Gi"), observed(instance()))
    granted = resizing.grant(whole("2Gi"), NODE, nobody)
    resizing.follow(granted, observed(instance()))
    assert told == ["ResizeStarted"]
    resizing.enforced[""] = resizing.enforced[GROUP] = {"limits": {"memory": "2Gi"}}
    resizing.follow(granted, observed(instance()))
    assert told == ["ResizeStarted", "ResizeCompleted"]


@pytest.mark.parametrize("of_pod", [True, False], ids=["the limit is the pod's", "the limit is its own"])
def test_a_resize_is_over_once_who_begins_anew_runs(tmp_path: Path, *, of_pod: bool) -> None:
    def limited(memory: str) -> Object:
        resources = {"limits": {"memory": memory}}
        anew = {"resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]}
        if of_pod:
            return pod(container(**anew), meta={"generation": 2}, resources=resources)
        return pod(container(resources=resources, **anew), meta={"generation": 2})

    told: list[str] = []
    resizing = admitted(limited("1Gi"), tmp_path, told)
    resizing.follow(limited("1Gi"), observed(instance()))
    granted = resizing.grant(limited("2Gi"), NODE, nobody)
    if of_pod:
        resizing.enforced[""] = {"limits": {"memory": "2Gi"}}
    resizing.enforced[GROUP] = {"limits": {"memory": "2Gi"}}
    for seen in (observed(instance()), observed(instance(exit_code=137))):
        resizing.follow(granted, seen)
        assert told == ["ResizeStarted"]
    resizing.follow(granted, observed(instance(restarts=1)))
    assert told == ["ResizeStarted", "ResizeCompleted"]


FOLDER = "kubepods/burstable/podu1"
LIMITED: Object = {"requests": {"memory": "1Mi"}, "limits": {"memory": "20Mi"}}


@pytest.mark.parametrize(
    ("limits", "used", "refused"),
    [
        ({"pod": "max", "c1": "max"}, 30, ["pod", 'container "main"']),
        ({"pod": "41943040", "c1": "10485760"}, 30, ["pod"]),
        ({"pod": "max", "c1": "max"}, 10, []),
        ({"pod": "10485760", "c1": "10485760"}, 30, []),
    ],
    ids=["limits for who has none", "the pod's is lowered", "more than is used", "more than before"],
)
async def test_nobody_is_given_less_memory_than_he_uses(
    tmp_path: Path, limits: dict[str, str], used: int, refused: list[str]
) -> None:
    (tmp_path / "cgroup.controllers").touch()
    for whose, group in (("pod", FOLDER), ("c1", f"{FOLDER}/c1")):
        (tmp_path / group).mkdir(parents=True)
        (tmp_path / group / "memory.max").write_text(limits[whose])
        (tmp_path / group / "memory.current").write_text(str(used << 20))
    settings = Settings(node_name="n1", host_ips=(), root=tmp_path)
    updated: list[str] = []

    async def update_resources(id_: str, resources: LinuxResources) -> None:
        updated.append(id_)

    node: Any = SimpleNamespace(
        settings=settings,
        cgroups=Cgroups(mounted=tmp_path),
        provisions=SimpleNamespace(limits=lambda _, found: found),
        runtime=SimpleNamespace(update_resources=update_resources),
    )
    of = pod(container(resources=LIMITED))
    words = [f"attempting to set {who} memory limit (20971520) below current usage (31457280)" for who in refused]
    with pytest.raises(OSError, match=re.escape(", ".join(words))) if words else nullcontext():
        await enforce(of, {"c1": of["spec"]["containers"][0]}, node)
    assert updated == ([] if words else ["c1"])


def test_what_cannot_be_granted_leaves_the_pod_as_it_was_and_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    resizing = admitted(asking("1"), tmp_path, told)
    for _ in range(2):
        granted = resizing.grant(asking("3"), NODE, nobody)
        assert granted["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "1"}}
    assert [(c["type"], c["reason"]) for c in resizing.conditions] == [("PodResizePending", "Infeasible")]
    assert told == ["ResizeInfeasible"]
    assert resizing.grant(asking("1"), NODE, nobody)["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "1"}}
    assert resizing.conditions == []


def test_a_new_pylet_knows_what_was_granted(tmp_path: Path) -> None:
    of = asking("2")
    entry = {"name": "main", "containerID": "containerd://main-0", "allocatedResources": {"cpu": "1"}}
    of["status"] = {"containerStatuses": [{**entry, "resources": {"requests": {"cpu": "1"}}}]}
    resizing = admitted(of, tmp_path, [])
    assert resizing.enforced == {"main-0": {"requests": {"cpu": "1"}}}
    assert resizing.allocations.of(of)["main"] == {"requests": {"cpu": "1"}}


def test_a_new_pylet_knows_what_had_yet_to_be_enforced(tmp_path: Path) -> None:
    of, had = asking("2"), {"requests": {"cpu": "1"}}
    entry = {"name": "main", "containerID": "containerd://main-0", "allocatedResources": {"cpu": "2"}}
    of["status"] = {"containerStatuses": [{**entry, "resources": had}]}
    resizing = admitted(of, tmp_path, [])
    assert resizing.enforced == {"main-0": had}
    assert resizing.allocations.of(of)["main"] == {"requests": {"cpu": "2"}}


def test_a_grant_outlives_the_kubelet_though_no_status_told_of_it(tmp_path: Path) -> None:
    resizing = admitted(asking("1"), tmp_path, [])
    resizing.grant(asking("2"), NODE, nobody)
    again = Allocations(tmp_path)
    wish = asking("3")
    assert again.allocated(wish)["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "2"}}
    again.keep(())
    assert Allocations(tmp_path).of(wish)["main"] == {"requests": {"cpu": "3"}}


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        pytest.param({"cpu": 'CPU Manager policy "static"'}, "Infeasible", id="its CPUs are its own"),
        pytest.param({"memory": 'Memory Manager policy "Static"'}, None, id="only its memory is"),
        pytest.param({}, None, id="nothing is"),
    ],
)
def test_what_a_guaranteed_pod_has_to_itself_it_keeps(policies: dict[str, str], reason: str | None) -> None:
    amounts = {"cpu": "2", "memory": "1Gi"}
    of = pod(container(resources={"requests": amounts, "limits": amounts}))
    before = {"main": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    refused = immovable(of, before, policies)
    assert (refused and refused[0]) == reason
