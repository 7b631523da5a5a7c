"""From a pod's spec to what the runtime is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.config import Surroundings, container_config, sandbox_config
from pylet.agent.kubelet.logchoice import NoLog, logged_container
from pylet.agent.kubelet.names import NameTooLong, hosts_file, kernel_hostname
from pylet.agent.kubelet.resources import container_resources, oom_score_adj, pod_resources, tiers
from pylet.agent.kubelet.security import ImageUser, container_security, root_refused
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.api.object import Object
from pylet.cri.messages import LinuxResources, NamespaceMode, ProfileType, SupplementalGroupsPolicy
from tests.agent.kubelet.builders import container, pod, sidecar

GIB = 1 << 30
SETTINGS = Settings(node_name="n1", host_ips=("192.0.2.1",), root=Path("/nowhere"))


def sized(name: str = "main", *, cpu: str = "", memory: str = "", limits: Object | None = None) -> Object:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return container(name, resources={"requests": requests, "limits": limits or {}})


def test_a_pod_is_limited_where_all_its_containers_are() -> None:
    bounded = sized("a", cpu="500m", memory="1Gi", limits={"cpu": "1", "memory": "1Gi"})
    both = pod(bounded, sized("b", cpu="250m", limits={"cpu": "500m"}))
    assert pod_resources(both) == LinuxResources(cpu_period=100_000, cpu_quota=150_000, cpu_shares=768)
    alone = pod(bounded)
    assert pod_resources(alone).memory_limit_in_bytes == GIB
    assert pod_resources(pod()) == LinuxResources(cpu_period=100_000, cpu_shares=2)
    heavy = pod_resources(pod(bounded, overhead={"cpu": "250m", "memory": "1Gi"}))
    assert (heavy.cpu_quota, heavy.cpu_shares, heavy.memory_limit_in_bytes) == (125_000, 768, 2 * GIB)
    assert pod_resources(pod(overhead={"cpu": "1"})) == LinuxResources(cpu_period=100_000, cpu_shares=1024)


def test_a_container_without_a_request_weighs_what_it_may_use() -> None:
    found = container_resources(pod(), sized(limits={"cpu": "2", "memory": "64Mi"}), 4 * GIB)
    assert (found.cpu_shares, found.cpu_quota, found.memory_limit_in_bytes) == (2048, 200_000, 64 << 20)


def test_a_container_without_limits_has_those_of_its_pod() -> None:
    found = container_resources(pod(resources={"limits": {"cpu": "1", "memory": "64Mi"}}), sized(cpu="500m"), 4 * GIB)
    assert (found.cpu_shares, found.cpu_quota, found.memory_limit_in_bytes) == (512, 100_000, 64 << 20)


@pytest.mark.parametrize(("period", "quotas"), [(10_000, (5_000, 1_000)), (None, (0, 0))], ids=["shorter", "none"])
def test_limits_of_cpu_hold_for_each_period(period: int | None, quotas: tuple[int, int]) -> None:
    half, little = (sized(limits={"cpu": cpu}) for cpu in ("500m", "10m"))
    for container_, expected in zip((half, little), quotas, strict=True):
        of = pod(container_)
        for found in (pod_resources(of, period), container_resources(of, container_, 4 * GIB, period)):
            assert (found.cpu_quota, found.cpu_period) == (expected, period or 100_000)


@pytest.mark.parametrize(
    ("of", "name", "expected"),
    [
        (pod(sized(memory="1Gi", cpu="1", limits={"cpu": "1", "memory": "1Gi"})), "main", -997),
        (pod(), "main", 1000),
        (pod(sized(memory="1Gi")), "main", 750),
        (pod(sized(cpu="1")), "main", 999),
        (pod(sized(memory="2Gi"), init=(sidecar("side"),)), "side", 500),
        (pod(sized(memory="4Gi"), priority=2_000_001_000), "main", -997),
        (pod(resources={"requests": {"memory": "2Gi"}}), "main", 500),
    ],
    ids=["guaranteed", "best effort", "a quarter", "almost none", "a sidecar as its app", "critical", "of the pod"],
)
def test_who_is_killed_first(of: Object, name: str, expected: int) -> None:
    containers = (*of["spec"]["initContainers"], *of["spec"]["containers"])
    one = next(c for c in containers if c["name"] == name)
    assert oom_score_adj(of, one, 4 * GIB) == expected


def test_names() -> None:
    of = pod(hostname="one", subdomain="sub", setHostnameAsFQDN=True)
    assert kernel_hostname(of, "cluster.local") == "one.sub.default.svc.cluster.local"
    assert "10.1.1.1\tone.sub.default.svc.cluster.local\tone\n" in hosts_file(of, ["10.1.1.1"], "cluster.local")
    with pytest.raises(NameTooLong, match="64 characters is the max"):
        kernel_hostname(pod(hostname="o" * 60, subdomain="sub", setHostnameAsFQDN=True), "cluster.local")
    assert kernel_hostname(pod(meta={"name": "p" * 70}), "cluster.local") == "p" * 63
    assert sandbox_config(pod(hostNetwork=True), SETTINGS, 0).hostname == ""


def test_the_security_context_of_a_container() -> None:
    of = pod(securityContext={"supplementalGroups": [7], "fsGroup": 9, "supplementalGroupsPolicy": "Strict"})
    found = container_security(of, container(), ImageUser(uid=5), "")
    assert (found.run_as_user, found.supplemental_groups) == (5, (9, 7))
    assert found.supplemental_groups_policy is SupplementalGroupsPolicy.STRICT
    assert container_security(of, container(), ImageUser(name="web"), "").run_as_username == "web"
    own = container_security(of, container(securityContext={"runAsUser": 3}), ImageUser(name="web"), "id")
    assert (own.run_as_user, own.run_as_username) == (3, "")
    assert own.namespace_options.pid is NamespaceMode.TARGET


@pytest.mark.parametrize(
    ("of", "own", "user", "why"),
    [
        ({}, {}, ImageUser(), ""),
        ({"runAsNonRoot": True}, {"runAsNonRoot": False}, ImageUser(), ""),
        ({"runAsNonRoot": True}, {}, ImageUser(uid=5), ""),
        ({"runAsNonRoot": True}, {}, ImageUser(), "image will run as root"),
        ({"runAsNonRoot": True}, {}, ImageUser(name="web"), "non-numeric user (web), cannot verify"),
        ({"runAsUser": 5}, {"runAsNonRoot": True}, ImageUser(name="web"), ""),
        ({"runAsUser": 5}, {"runAsNonRoot": True, "runAsUser": 0}, ImageUser(uid=5), "breaks non-root policy"),
    ],
    ids=[
        "nobody minds",
        "the container does not mind",
        "the image has a user",
        "the image has none",
        "a name may be root's",
        "the pod says who",
        "the container says root",
    ],
)
def test_who_minds_root_does_not_get_it(of: Object, own: Object, user: ImageUser, why: str) -> None:
    told = root_refused(pod(securityContext=of), container(securityContext=own), user)
    assert why in told if why else not told


def limits_below(top: Path) -> dict[str, str]:
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("podu1/*")}


@pytest.mark.parametrize("is_v2", [False, True], ids=["v1", "v2"])
async def test_cgroups_are_made_limited_and_removed(tmp_path: Path, is_v2: bool) -> None:
    group = "/kubepods/burstable/podu1"
    for tree in ("cpu", "memory"):
        (tmp_path / tree).mkdir()
    if is_v2:
        (tmp_path / "cgroup.controllers").write_text("cpu memory pids misc")
        (tmp_path / "system.slice").mkdir()
        (tmp_path / "system.slice/memory.swap.max").touch()
    cgroups = Cgroups(mounted=tmp_path)
    await cgroups.apply(group, LinuxResources(cpu_period=100_000, cpu_quota=50_000, cpu_shares=512))
    written = limits_below(tmp_path)
    if is_v2:
        top = group.lstrip("/")
        assert written == {f"{top}/cpu.weight": "20", f"{top}/cpu.max": "50000 100000", f"{top}/memory.max": "max"}
        assert (tmp_path / "cgroup.subtree_control").read_text() in ("+cpu", "+memory", "+pids")
        assert cgroups.of_containers(kills_one_process=None) == {"memory.oom.group": "1", "memory.swap.max": "0"}
        assert cgroups.of_containers(kills_one_process=True) == {"memory.swap.max": "0"}
    else:
        assert cgroups.of_containers(kills_one_process=None) == {}
        assert written == {
            f"cpu{group}/cpu.shares": "512",
            f"cpu{group}/cpu.cfs_period_us": "100000",
            f"cpu{group}/cpu.cfs_quota_us": "50000",
            f"memory{group}/memory.limit_in_bytes": "-1",
        }
    assert cgroups.pods() == ["u1"]


HUGE: Object = {"hugepages-2Mi": "4Mi", "memory": "1Gi", "cpu": "1"}


@pytest.mark.parametrize(("tree", "file"), [("hugetlb", "limit_in_bytes"), ("", "max")], ids=["v1", "v2"])
async def test_a_pod_has_the_huge_pages_that_it_asked_for(tmp_path: Path, tree: str, file: str) -> None:
    group = tmp_path / tree / "kubepods/podu1"
    group.mkdir(parents=True)
    if not tree:
        (tmp_path / "cgroup.controllers").write_text("hugetlb")
    for size in ("2MB", "1GB", "2MB.rsvd"):
        (group / f"hugetlb.{size}.{file}").touch()
    of = pod(container(resources={"requests": HUGE, "limits": HUGE}))
    await Cgroups(mounted=tmp_path).apply("/kubepods/podu1", pod_resources(of))
    written = {found.name: found.read_text() for found in group.glob("hugetlb.*")}
    four = str(4 << 20)
    assert written == {f"hugetlb.2MB.{file}": four, f"hugetlb.2MB.rsvd.{file}": four, f"hugetlb.1GB.{file}": "0"}


@pytest.mark.parametrize(
    ("whole", "own", "expected"),
    [({}, HUGE, 4 << 20), ({"hugepages-2Mi": "8Mi"}, {}, 8 << 20), ({"hugepages-2Mi": "8Mi"}, HUGE, 4 << 20)],
    ids=["its own", "the pod's", "both"],
)
def test_a_container_is_told_of_every_size_of_huge_pages(whole: Object, own: Object, expected: int) -> None:
    settings = replace(SETTINGS, huge_pages=("hugepages-1Gi", "hugepages-2Mi", "hugepages-64Ki"))
    one = container(resources={"limits": own})
    around = Surroundings({}, Bindings(), {}, "", 0, ImageUser())
    found = container_config(pod(one, resources={"limits": whole}), one, around, settings).linux.resources
    limits = {limit.page_size: limit.limit for limit in found.hugepage_limits}
    assert limits == {"1GB": 0, "2MB": expected, "64KB": 0}


@pytest.mark.parametrize(
    ("state", "last", "previous", "expected"),
    [
        ({"running": {}}, "", False, "now"),
        ({"running": {}}, "before", True, "before"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "before", False, "before"),
        ({"running": {}}, "", True, 'previous terminated container "main" in pod "web" not found'),
        (
            {"waiting": {"reason": "ImagePullBackOff"}},
            "",
            False,
            'container "main" in pod "web" is waiting to start: trying and failing to pull image',
        ),
        (
            {"waiting": {"reason": "ContainerCreating"}},
            "",
            False,
            'container "main" in pod "web" is waiting to start: ContainerCreating',
        ),
    ],
    ids=["running", "before it", "between two runs", "no run before", "no image", "not yet"],
)
def test_whose_log_is_meant(state: Object, last: str, previous: bool, expected: str) -> None:
    of = pod()
    entry: Object = {"name": "main", "state": state, "containerID": "containerd://now"}
    if last:
        entry["lastState"] = {"terminated": {"containerID": f"containerd://{last}"}}
    of["status"] = {"containerStatuses": [entry]}
    try:
        found = logged_container(of, "main", previous=previous)
    except NoLog as none:
        found = str(none)
    assert found == expected


def test_classes_of_pods_share_the_cpus_by_what_was_asked_for() -> None:
    asking = [
        pod(sized(cpu="500m")),
        pod(sized(cpu="250m")),
        pod(),
        {**pod(sized(cpu="1")), "status": {"phase": "Failed"}},
    ]
    found = tiers(asking, 2000, GIB)
    assert {group: (limits.cpu_shares, limits.memory_limit_in_bytes) for group, limits in found.items()} == {
        "": (2048, GIB), "burstable": (768, 0), "besteffort": (2, 0),
    }  # fmt: skip


def test_who_says_nothing_of_seccomp_may_be_confined_all_the_same() -> None:
    def profile(of: Object, *, confined: bool) -> ProfileType | None:
        found = container_security(pod(), of, ImageUser(), "", confined=confined).seccomp
        return None if found is None else found.profile_type

    asked = container(securityContext={"seccompProfile": {"type": "Unconfined"}})
    assert profile(container(), confined=True) is ProfileType.RUNTIME_DEFAULT
    assert profile(container(), confined=False) is ProfileType.UNCONFINED
    assert profile(asked, confined=True) is ProfileType.UNCONFINED
