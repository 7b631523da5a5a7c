from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.cgroups import Cgroups, weight
from pylet.agent.kubelet.config import resources_of
from pylet.agent.kubelet.group_names import CGROUPFS, SYSTEMD, GroupNames
from pylet.agent.kubelet.provided import Extras
from pylet.agent.kubelet.settings import Settings
from pylet.api.object import Object
from pylet.cri.messages import LinuxResources
from tests.agent.kubelet.builders import container, pod

GIB = 1 << 30
HALF = LinuxResources(cpu_period=100_000, cpu_quota=50_500, cpu_shares=512, memory_limit_in_bytes=GIB)
UID = "1234-abcd"


@pytest.mark.parametrize(
    ("names", "of_pod", "of_container"),
    [
        (GroupNames(), "/kubepods/burstable/pod1234-abcd", "/c1"),
        (GroupNames("/a/b-c"), "/a/b-c/kubepods/burstable/pod1234-abcd", "/c1"),
        (
            GroupNames("/", SYSTEMD),
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234_abcd.slice",
            "/cri-containerd-c1.scope",
        ),
        (
            GroupNames("/b-c", SYSTEMD),
            "/b_c.slice/b_c-kubepods.slice/b_c-kubepods-burstable.slice/b_c-kubepods-burstable-pod1234_abcd.slice",
            "/cri-containerd-c1.scope",
        ),
    ],
)
def test_groups_are_called_as_their_driver_has_it(names: GroupNames, of_pod: str, of_container: str) -> None:
    assert names.of_pod(UID, "burstable") == of_pod
    assert names.of_container(of_pod, "c1") == of_pod + of_container
    assert [names.pod(part) for part in of_pod.split("/")[-2:]] == [None, UID]


@pytest.mark.parametrize("driver", [CGROUPFS, SYSTEMD])
@pytest.mark.parametrize("is_v2", [False, True], ids=["v1", "v2"])
def test_pods_are_found_by_their_groups(tmp_path: Path, driver: str, is_v2: bool) -> None:
    cgroups = Cgroups(GroupNames("/x", driver), tmp_path)
    tree = tmp_path if is_v2 else tmp_path / "cpu"
    tree.mkdir(exist_ok=True)
    if is_v2:
        (tmp_path / "cgroup.controllers").touch()
    for uid, tier in (("a-1", ""), ("b-2", "burstable"), ("c-3", "besteffort")):
        (tree / cgroups.names.of_pod(uid, tier).lstrip("/") / "inner").mkdir(parents=True)
    assert cgroups.pods() == ["a-1", "b-2", "c-3"]


def test_what_still_runs_in_a_group_is_killed(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    group = tmp_path / "kubepods/podu1"
    group.mkdir(parents=True)
    with subprocess.Popen(["sleep", "infinity"]) as left:
        (group / "cgroup.procs").write_text(f"{left.pid}\n")
        Cgroups(mounted=tmp_path).remove_pod("u1")
        assert left.wait() == -9


async def test_how_long_it_takes_is_counted(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    done = {operation: sum(counters.CGROUPS.counts(operation)) for operation in ("create", "update", "destroy")}
    cgroups = Cgroups(mounted=tmp_path)
    for _ in range(3):
        await cgroups.apply("/kubepods/podu1", HALF)
    cgroups.remove("/kubepods/podu2")
    cgroups.remove("/kubepods/podu1")
    now = {operation: sum(counters.CGROUPS.counts(operation)) for operation in done}
    assert {operation: now[operation] - done[operation] for operation in done} == {
        "create": 1,
        "update": 2,
        "destroy": 1,
    }


@pytest.mark.parametrize("tree", ["", "pids"], ids=["v2", "v1"])
async def test_processes_are_limited_of_each_pod_and_of_all(tmp_path: Path, tree: str) -> None:
    (tmp_path / "pids").mkdir()
    if not tree:
        (tmp_path / "cgroup.controllers").touch()
    cgroups = Cgroups(mounted=tmp_path, pids_limit=100, all_pids=5000)
    wanted = {("kubepods",): "5000", ("kubepods", "podu1"): "100", ("kubepods", "burstable"): None}
    for group in wanted:
        await cgroups.apply("/" + "/".join(group), HALF)
    assert {group: written(tmp_path.joinpath(tree, *group, "pids.max")) for group in wanted} == wanted


def written(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


@pytest.mark.parametrize(("shares", "expected"), [(0, 1), (2, 1), (1024, 39), (2048, 79), (262_144, 10_000)])
def test_shares_as_weight(shares: int, expected: int) -> None:
    assert weight(shares) == expected


# ---- by systemd


@pytest.fixture
def busctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for systemd's; what it was told is in the file, a line a call. It knows one slice already."""
    told, program = tmp_path / "told", tmp_path / "bin" / "busctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\ncase "$*" in *StartTransientUnit*old.slice*) exit 1;; esac\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return told


def last_call(told: Path, method: str) -> str:
    return told.read_text().splitlines()[-1].partition(f"{method} ")[2]


@pytest.mark.parametrize(
    ("is_v2", "limits"),
    [
        (False, "CPUShares t 512 MemoryLimit t 1073741824"),
        (True, "CPUWeight t 20 MemoryMax t 1073741824"),
    ],
    ids=["v1", "v2"],
)
async def test_systemd_makes_slices(tmp_path: Path, busctl: Path, is_v2: bool, limits: str) -> None:
    mounted = tmp_path / "cgroup"
    mounted.mkdir()
    if is_v2:
        (mounted / "cgroup.controllers").write_text("cpu memory")
    names = GroupNames("/", SYSTEMD)
    await Cgroups(names, mounted, pids_limit=100).apply(names.of_pod("u-1"), HALF)
    limits += " CPUQuotaPeriodUSec t 100000 CPUQuotaPerSecUSec t 510000 TasksMax t 100"
    assert last_call(busctl, "StartTransientUnit") == (
        "ssa(sv)a(sa(sv)) kubepods-podu_1.slice replace 12 Description s pods kubepods-podu_1.slice"
        " Wants as 1 kubepods.slice CPUAccounting b true MemoryAccounting b true IOAccounting b true"
        f" TasksAccounting b true DefaultDependencies b false {limits} 0"
    )


async def test_systemd_is_told_of_new_limits(tmp_path: Path, busctl: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    await Cgroups(GroupNames("/", SYSTEMD), tmp_path).apply("/old.slice", LinuxResources(cpu_period=100_000))
    assert last_call(busctl, "SetUnitProperties") == (
        "sba(sv) old.slice true 4 CPUWeight t 1 MemoryMax t 18446744073709551615"
        " CPUQuotaPeriodUSec t 100000 CPUQuotaPerSecUSec t 18446744073709551615"
    )


# ---- swap


def limited(asks: str = "", most: str = "") -> Object:
    found = {"requests": asks, "limits": most}
    return container(resources={bound: {"memory": amount} for bound, amount in found.items() if amount})


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (pod(limited("1Gi", "2Gi")), "536870912"),
        (pod(limited("1Gi")), "536870912"),
        (pod(limited("16Gi", "32Gi")), "0"),
        (pod(container(), limited("1Gi")), "0"),
        (pod(limited("1Gi", "1Gi"), limited("1Gi")), "0"),
        (pod(limited("1Gi"), priority=2_000_000_000), "0"),
        (pod(), "0"),
    ],
    ids=["a share", "unlimited", "more than there is", "asks for nothing", "no room to grow", "critical", "BestEffort"],
)
def test_a_container_swaps_as_much_as_it_asked_for(of: Object, expected: str) -> None:
    settings = Settings(
        node_name="n1",
        host_ips=(),
        root=Path("/k"),
        container_cgroup={"memory.swap.max": "0", "memory.oom.group": "1"},
        swap_bytes=4 * GIB,
        memory_bytes=8 * GIB,
    )
    found = resources_of(of, of["spec"]["containers"][0], Extras(), settings).unified
    assert found == {"memory.swap.max": expected, "memory.oom.group": "1"}
