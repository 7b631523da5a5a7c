"""What is used, as it is told."""

from __future__ import annotations

import os
import resource
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pylet.agent.kubelet.cadvisor import cadvisor_metrics
from pylet.agent.kubelet.group_bounds import read_bounds
from pylet.agent.kubelet.group_counts import read_counts
from pylet.agent.kubelet.resource_metrics import resource_metrics
from pylet.agent.kubelet.stats import ContainerUse, NodeUse, PodUse
from pylet.agent.kubelet.summary import Rates, summary
from pylet.agent.kubelet.usage import Usage, own_group, read_swap, read_usage
from pylet.agent.kubelet.volumes.usage import Usage as VolumeUsage
from tests.agent.kubelet.builders import NOW, pod


def node(*, later: int = 0) -> NodeUse:
    usage = Usage(NOW + timedelta(seconds=later), 2_000_000_000 + later * 500_000_000, 900, 700)
    container = ContainerUse("main", "c1", "app:1", NOW, usage, rootfs_bytes=5, group="/kubepods/podu1/c1")
    return NodeUse("n1", NOW, usage, 2, 1000, (100, 40, 10, 7), (PodUse(pod(), usage, (container,)),))


def test_the_summary_has_rates_from_the_second_time_on() -> None:
    rates = Rates()
    first = summary(node(), rates)
    assert "usageNanoCores" not in first["node"]["cpu"]
    assert first["node"]["memory"] == {
        "time": "2026-01-02T03:04:05Z",
        "availableBytes": 300,
        "usageBytes": 900,
        "workingSetBytes": 700,
    }
    assert first["node"]["fs"]["usedBytes"] == 60
    [of_pod] = summary(node(later=10), rates)["pods"]
    assert of_pod["podRef"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert of_pod["containers"][0]["cpu"]["usageNanoCores"] == 500_000_000
    assert of_pod["containers"][0]["rootfs"]["usedBytes"] == 5


def test_systems_are_told_beside_the_pods() -> None:
    since = NOW - timedelta(seconds=9)
    told = summary(replace(node(), of_pods=Usage(NOW, 1, 400, 300), of_kubelet=(since, Usage(NOW, 1, 60, 50))), Rates())
    kubelet, pods = told["node"]["systemContainers"]
    assert (kubelet["name"], kubelet["startTime"]) == ("kubelet", "2026-01-02T03:03:56Z")
    assert (pods["name"], pods["memory"]["availableBytes"]) == ("pods", 700)
    assert "availableBytes" not in kubelet["memory"]
    assert "systemContainers" not in summary(node(), Rates())["node"]


@pytest.mark.parametrize(
    ("listed", "group"),
    [
        ("4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n", "/a"),
        ("5:name=systemd:/system.slice/p.service\n4:memory:/\n2:cpu,cpuacct:/\n", "/system.slice/p.service"),
        ("4:memory:/a\n2:cpu:/\n", None),
    ],
    ids=["it is in one", "systemd knows which", "memory and CPU are counted apart"],
)
def test_the_own_group_is_one_that_counts_all(tmp_path: Path, listed: str, group: str | None) -> None:
    assert own_group(tmp_path, listed) == group
    (tmp_path / "cgroup.controllers").touch()
    assert own_group(tmp_path, "0::/system.slice/p:q.service\n") == "/system.slice/p:q.service"


def test_the_disks_that_containers_fill_are_told_with_what_is_left_of_them() -> None:
    limited = {"name": "main", "resources": {"limits": {"memory": "1000"}}}
    container = ContainerUse("main", "c1", "", NOW, Usage(NOW, 0, 9, 7), 5, 6, rootfs_inodes=3, logs_inodes=2)
    volumes = {"scratch": VolumeUsage(3, 2, 1, 9, 8, 4)}
    of = pod(limited, volumes=[{"name": "scratch", "emptyDir": {}}])
    use = PodUse(of, Usage(NOW, 0, 9, 8), (container,), volumes)
    [told] = summary(replace(node(), pods=(use,), images=(200, 80, 20, 9)), Rates())["pods"]
    [main], left = told["containers"], ("capacityBytes", "availableBytes", "inodes", "inodesFree")
    assert [main["rootfs"][name] for name in (*left, "usedBytes", "inodesUsed")] == [200, 80, 20, 9, 5, 3]
    assert [main["logs"][name] for name in (*left, "usedBytes", "inodesUsed")] == [100, 40, 10, 7, 6, 2]
    assert told["ephemeral-storage"]["inodesUsed"] == 3 + 2 + 4
    assert (main["memory"]["availableBytes"], told["memory"]["availableBytes"]) == (993, 992)


def test_a_volume_names_the_claim_it_stands_for() -> None:
    volumes = {"data": VolumeUsage(3, 2, 1, 9, 8, 1), "scratch": VolumeUsage(3, 2, 1, 9, 8, 1)}
    named = [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "scratch", "ephemeral": {}}]
    use = PodUse(pod(volumes=named), Usage(NOW), (), volumes=volumes)
    [told] = summary(replace(node(), pods=(use,)), Rates())["pods"]
    claims = {volume["name"]: volume["pvcRef"] for volume in told["volume"]}
    assert claims["data"] == {"name": "c", "namespace": "default"}
    assert claims["scratch"] == {"name": "web-scratch", "namespace": "default"}


def test_counters_come_with_the_moment_they_were_read() -> None:
    text = resource_metrics(node())
    assert 'container_cpu_usage_seconds_total{container="main",namespace="default",pod="web"} 2.0 1767323045000' in text
    assert "node_memory_working_set_bytes 700 1767323045000" in text
    assert "\nresource_scrape_error 0" in text
    assert "\nscrape_error" not in text, "which upstream has hidden since 1.30"
    assert f'container_start_time_seconds{{container="main",namespace="default",pod="web"}} {NOW.timestamp()}' in text
    text = cadvisor_metrics(node())
    assert 'id="/kubepods/podu1/c1",image="app:1",name="c1"' in text
    assert 'container_cpu_usage_seconds_total{container="",cpu="total",id="/",' in text
    begun = next(line for line in text.splitlines() if line.startswith("container_start_time_seconds{"))
    assert begun.endswith(f" {NOW.timestamp()}")


def test_both_layouts_of_cgroups_are_read(tmp_path: Path) -> None:
    old, new = tmp_path / "v1", tmp_path / "v2"
    for path, content in {
        old / "cpuacct/g/cpuacct.usage": "7000",
        old / "memory/g/memory.usage_in_bytes": "100",
        old / "memory/g/memory.stat": "total_rss 60\ntotal_inactive_file 30\npgfault 3\ntotal_pgfault 9\ntotal_swap 4",
        new / "cgroup.controllers": "",
        new / "g/cpu.stat": "usage_usec 7\n",
        new / "g/memory.current": "100",
        new / "g/memory.stat": "anon 60\ninactive_file 30\npgfault 3\n",
        new / "g/memory.swap.current": "4",
        new / "g/memory.swap.max": "max",
        new / "memory.stat": "anon 60\nfile 50\ninactive_file 30\n",
        new / "limited/memory.swap.current": "4",
        new / "limited/memory.swap.max": "9",
        new / "p/io.pressure": "some avg10=0.00 avg60=1.50 avg300=0.10 total=9\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    wanted = Usage(NOW, 7000, 100, 70, 60, 3, None, swap_bytes=4)
    assert read_usage(old, "/g", NOW) == read_usage(new, "/g", NOW) == wanted
    assert read_swap(new, "/limited") == (4, 9)
    root = read_usage(new, "/", NOW)
    assert (root.memory_bytes, root.working_set_bytes) == (110, 80)
    assert root.swap_bytes is not None
    assert read_usage(old, "/none", NOW) == Usage(NOW)
    assert read_usage(new, "/p", NOW).pressure == {
        "io": {"some": {"avg10": 0, "avg60": 1.5, "avg300": 0.1, "total": 9}}
    }


COUNTS = {
    "container_cpu_cfs_periods_total": 8,
    "container_cpu_cfs_throttled_periods_total": 2,
    "container_cpu_cfs_throttled_seconds_total": 0.5,
    "container_cpu_user_seconds_total": 3,
    "container_cpu_system_seconds_total": 1,
    "container_memory_cache": 50,
    "container_memory_mapped_file": 40,
    "container_memory_swap": 4,
    "container_memory_failcnt": 7,
    "container_memory_max_usage_bytes": 99,
    "container_oom_events_total": 1,
    "container_threads": 6,
    "container_memory_failures_total|pgfault|container": 12,
    "container_memory_failures_total|pgmajfault|container": 2,
    "container_memory_failures_total|pgfault|hierarchy": 12,
    "container_memory_failures_total|pgmajfault|hierarchy": 2,
    "container_fs_reads_bytes_total|/dev/8:0": 4096,
    "container_fs_reads_bytes_total|/dev/8:16": 512,
    "container_fs_writes_bytes_total|/dev/8:0": 10,
    "container_fs_reads_total|/dev/8:0": 3,
    "container_fs_writes_total|/dev/8:0": 20,
    "container_blkio_device_usage_total|/dev/8:0|8|0|Read": 4096,
    "container_blkio_device_usage_total|/dev/8:0|8|0|Write": 10,
    "container_blkio_device_usage_total|/dev/8:16|8|16|Read": 512,
}
V2 = {
    "cgroup.controllers": "cpu",
    "g/cpu.stat": "user_usec 3000000\nsystem_usec 1000000\nnr_periods 8\nnr_throttled 2\nthrottled_usec 500000\n",
    "g/cpu.max": "10000 100000\n",
    "g/memory.stat": "file 50\nfile_mapped 40\npgfault 12\npgmajfault 2\n",
    "g/memory.swap.current": "4\n",
    "g/memory.peak": "99\n",
    "g/memory.events": "low 0\nmax 7\noom 3\noom_kill 1\n",
    "g/pids.current": "6\n",
    "g/io.stat": "8:0 rbytes=4096 wbytes=10 rios=3 wios=20 dbytes=0 dios=0\n8:16 rbytes=512\n",
}
V1 = {
    "cpuacct/g/cpuacct.usage_user": "3000000000",
    "cpuacct/g/cpuacct.usage_sys": "1000000000",
    "cpu/g/cpu.stat": "nr_periods 8\nnr_throttled 2\nthrottled_time 500000000\n",
    "cpu/g/cpu.cfs_quota_us": "10000",
    "memory/g/memory.stat": "total_cache 50\ntotal_mapped_file 40\ntotal_swap 4\npgfault 12\npgmajfault 2\n"
    "total_pgfault 12\ntotal_pgmajfault 2\n",
    "memory/g/memory.failcnt": "7",
    "memory/g/memory.max_usage_in_bytes": "99",
    "memory/g/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "pids/g/pids.current": "6",
    "blkio/g/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 10\n8:16 Read 512\nTotal 4618\n",
    "blkio/g/blkio.throttle.io_serviced_recursive": "8:0 Read 3\n8:0 Write 20\nTotal 23\n",
}


@pytest.mark.parametrize(("files", "quota"), [(V1, "cpu/g/cpu.cfs_quota_us"), (V2, "g/cpu.max")], ids=["v1", "v2"])
def test_what_cadvisor_counts_is_read_of_both_layouts(tmp_path: Path, files: dict[str, str], quota: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert read_counts(tmp_path, "/g", "/dev/{}".format) == COUNTS
    (tmp_path / quota).write_text({"g/cpu.max": "max 100000"}.get(quota, "-1"))
    assert read_counts(tmp_path, "/g", "/dev/{}".format).keys() == COUNTS.keys() - {
        name for name in COUNTS if "_cfs_" in name
    }
    assert read_counts(tmp_path, "/none") == {}
    counted = replace(node(), pods=(PodUse(pod(), Usage(NOW), (), counts=COUNTS, group="/g"),))
    told = cadvisor_metrics(counted)
    assert 'container_memory_cache{container="",id="/g",image="",name="",namespace="default",pod="web"} 50' in told
    assert 'container_fs_writes_total{container="",device="/dev/8:0",id="/g"' in told


BOUNDS = {
    "container_spec_cpu_period": 50000,
    "container_spec_cpu_quota": 10000,
    "container_spec_cpu_shares": 1024,
    "container_spec_memory_limit_bytes": 4096,
    "container_spec_memory_reservation_limit_bytes": 0,
    "container_spec_memory_swap_limit_bytes": 0,
    "container_threads_max": 9,
    "container_processes": 1,
}
BOUNDED_V2 = {
    "cgroup.controllers": "cpu",
    "g/cpu.max": "10000 50000\n",
    "g/cpu.weight": "39\n",
    "g/memory.max": "4096\n",
    "g/memory.min": "0\n",
    "g/memory.swap.max": "max\n",
    "g/pids.max": "9\n",
    "g/cgroup.procs": f"{os.getpid()}\n",
}
BOUNDED_V1 = {
    "cpu/g/cpu.cfs_period_us": "50000",
    "cpu/g/cpu.cfs_quota_us": "10000",
    "cpu/g/cpu.shares": "1024",
    "cpu/g/cgroup.procs": f"{os.getpid()}\n",
    "memory/g/memory.limit_in_bytes": "4096",
    "memory/g/memory.soft_limit_in_bytes": "9223372036854771712",
    "memory/g/memory.memsw.limit_in_bytes": "9223372036854771712",
    "pids/g/pids.max": "9",
}


@pytest.mark.parametrize("files", [BOUNDED_V1, BOUNDED_V2], ids=["v1", "v2"])
def test_what_a_group_may_use_is_read_of_both_layouts(tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    with socket.socket():
        found = dict(read_bounds(tmp_path, "/g"))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert found.pop("container_ulimits_soft|max_open_files") == soft
    assert found.pop("container_file_descriptors") > found.pop("container_sockets") >= 1
    rounded = {"container_spec_cpu_shares": 998} if files is BOUNDED_V2 else {}  # a weight is coarser
    assert found == {**BOUNDS, **rounded}
    assert read_bounds(tmp_path, "/none") == {}
    counts = {"container_memory_failures_total|pgfault|container": 3, "container_spec_cpu_period": 50000}
    told = cadvisor_metrics(replace(node(), pods=(PodUse(pod(), Usage(NOW), (), counts=counts, group="/g"),)))
    labels = 'container="",%sid="/g",image="",name="",namespace="default",pod="web"'
    assert f"container_spec_cpu_period{{{labels % ''}}} 50000\n" in told
    assert 'failure_type="pgfault"' in told


def test_swap_is_told_where_it_is_counted() -> None:
    use = replace(node().pods[0].containers[0], usage=Usage(NOW, 1, 2, swap_bytes=4, swap_limit_bytes=9))
    under = replace(node(), pods=(PodUse(pod(), Usage(NOW, 1, 2, swap_bytes=5), (use,)),))
    [told] = summary(under, Rates())["pods"]
    assert told["swap"] == {"time": told["cpu"]["time"], "swapUsageBytes": 5}
    assert told["containers"][0]["swap"]["swapAvailableBytes"] == 5
    assert "swap" not in summary(under, Rates())["node"]
    text = resource_metrics(under)
    assert 'container_swap_limit_bytes{container="main",namespace="default",pod="web"} 9 ' in text
    assert "pod_swap_usage_bytes{" in text
    assert "node_swap_usage_bytes" not in text


def test_pressure_is_told_where_the_kernel_counts_it() -> None:
    waited = {"avg10": 0.0, "avg60": 1.5, "avg300": 0.1, "total": 2_500_000}
    psi = {"some": waited, "full": {**waited, "total": 0}}
    under = replace(node(), pods=(PodUse(pod(), Usage(NOW, 1, 2, pressure={"cpu": psi, "io": psi}), ()),))
    [told] = summary(under, Rates())["pods"]
    assert (told["cpu"]["psi"], told["io"]["psi"], told["memory"].get("psi")) == (psi, psi, None)
    assert "io" not in summary(node(), Rates())["node"]
    text = cadvisor_metrics(under)
    assert "container_pressure_cpu_waiting_seconds_total{" in text
    assert "} 2.5 1767" in text
    assert "container_pressure_memory" not in text
