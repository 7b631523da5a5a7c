"""What is on the machine's disks, as it is read and told."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pylet.agent.kubelet.cadvisor import cadvisor_metrics
from pylet.agent.kubelet.machine_disks import read_disks
from tests.agent.kubelet.test_stats import node

DISKSTATS = """\
   8       0 sda 100 1 2000 3500 200 2 4000 4500 7 5500 6500 144 0 2359440 83 1153 1404
   8       1 sda1 10 0 20 35 20 0 40 45 0 55 65
"""
MOUNTS = """\
22 1 8:1 / %s rw,relatime - ext4 /dev/sda1 rw
23 22 8:1 /a /b rw,relatime shared:1 - ext4 /dev/sda1 rw
24 22 0:21 / /proc rw - proc proc rw
25 22 0:22 / %s rw - tmpfs tmpfs rw
26 22 0:23 / %s rw - tmpfs tmpfs rw
27 22 0:24 / %s rw - tmpfs shm rw
28 22 0:23 / %s rw master:1 - tmpfs tmpfs rw
"""


def test_a_disk_is_told_once_and_memory_by_where_it_is(tmp_path: Path) -> None:
    disk, own, of_pods = (tmp_path / name for name in ("disk", "own", "pods"))
    for directory in (disk, own, of_pods / "secret", tmp_path / "bound"):
        directory.mkdir(parents=True)
    mounts = MOUNTS % (disk, own, of_pods / "secret", tmp_path / "shm", tmp_path / "bound")
    found = read_disks(mounts, DISKSTATS, of_pods)
    assert {key.split("|")[1] for key in found} == {"/dev/sda1", str(own)}
    room = os.statvfs(disk)
    assert found["container_fs_limit_bytes|/dev/sda1"] == room.f_blocks * room.f_frsize
    assert 0 < found["container_fs_usage_bytes|/dev/sda1"] < found["container_fs_limit_bytes|/dev/sda1"]
    assert found["container_fs_writes_total|/dev/sda1"] == 20
    assert found["container_fs_read_seconds_total|/dev/sda1"] == 0.035
    assert found["container_fs_io_time_weighted_seconds_total|/dev/sda1"] == 0.065
    assert f"container_fs_reads_total|{own}" not in found


def test_what_is_counted_of_the_machine_is_told_as_that_of_its_root() -> None:
    counts = {"container_fs_limit_bytes|/dev/sda1": 7, "container_blkio_device_usage_total|/dev/sda|8|0|Read": 9}
    told = cadvisor_metrics(replace(node(), counts=counts)).splitlines()
    root = 'container="",device="%s",id="/",image="",%sname="",namespace="",pod=""'
    assert any(line.startswith(f"container_fs_limit_bytes{{{root % ('/dev/sda1', '')}}} 7 ") for line in told)
    assert any("container_blkio_device_usage_total{" in line and 'operation="Read"' in line for line in told)
    heads = [line for line in told if line.startswith("# TYPE container_fs_usage_bytes")]
    assert len(heads) == 1
