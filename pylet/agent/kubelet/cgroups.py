"""The pods' control groups: made before the first container, with the pod's limits, removed when the pod is gone.

Both layouts are known: v1 with a tree for each controller, v2 with one. A runtime makes what is missing by itself, but
never limits a pod as a whole and never removes its group.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.group_names import GroupNames
from pylet.agent.kubelet.usage import number
from pylet.cri.messages import LinuxResources

SWAP_LIMIT = "memory.swap.max"

log = logging.getLogger(__name__)

_TIERS = ("", "burstable", "besteffort")
_UNLIMITED = 1 << 62
_ATTEMPTS, _DYING_SECONDS = 5, 0.05
_V2_CONTROLLERS = frozenset(("cpu", "cpuset", "hugetlb", "io", "memory", "pids"))


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Groups are named by their path from the mount `mounted`.

    `pids_limit` is how many processes a pod may have, `all_pids` how many all pods may; not above 0 is no limit.
    """

    names: GroupNames = field(default_factory=GroupNames)
    mounted: Path = Path("/sys/fs/cgroup")
    pids_limit: int = -1
    all_pids: int = 0

    async def apply(self, group: str, resources: LinuxResources) -> None:
        """Make the group, if need be, and set its limits; zeros are no limits. Raises: OSError."""
        is_there = any((tree / group.lstrip("/")).is_dir() for tree in self._trees())
        with counters.seconds(counters.CGROUPS, "update" if is_there else "create"):
            if self.names.is_systemd:
                from pylet.agent.kubelet import slices

                v2_weight = weight(resources.cpu_shares) if self.is_v2 else None
                await slices.ensure(group, slices.limits(resources, v2_weight, self._pids(group)))
            self._write_limits(group, resources)

    def _write_limits(self, group: str, resources: LinuxResources) -> None:
        if self.is_v2:
            self._apply_v2(group, resources)
            return
        # A quota may not be beyond the parent's, nor a limit below what is used: the kernel refuses either.
        shares, period, quota = resources.cpu_shares, resources.cpu_period, resources.cpu_quota or -1
        self._write("cpu", group, {"cpu.shares": shares, "cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota})
        self._write("memory", group, {"memory.limit_in_bytes": resources.memory_limit_in_bytes or -1})
        if (pids := self._pids(group)) > 0:
            self._write("pids", group, {"pids.max": pids})
        hugetlb = self.mounted / "hugetlb"
        if self._is_pod(group) and hugetlb.exists():
            (hugetlb / group.lstrip("/")).mkdir(parents=True, exist_ok=True)
            _limit_huge_pages(hugetlb / group.lstrip("/"), "limit_in_bytes", resources)

    def of_containers(self, *, kills_one_process: bool | None) -> Mapping[str, str]:
        """What the group of each container has beside its limits, where the layout knows of it.

        Memory that runs out ends all of a container unless it is said otherwise; nothing is swapped out.
        """
        if not self.is_v2:
            return {}
        swap = {SWAP_LIMIT: "0"} if any(self.mounted.glob(f"*/{SWAP_LIMIT}")) else {}
        return swap if kills_one_process else {"memory.oom.group": "1", **swap}

    def remove(self, group: str) -> None:
        """Remove the group and what is below it, in every tree; what still runs in it is killed."""
        there = [tree / group.lstrip("/") for tree in self._trees() if (tree / group.lstrip("/")).is_dir()]
        if there and self.names.is_systemd:
            from pylet.agent.kubelet import slices

            slices.stop(there[0].name)
        if not there:
            return
        with counters.seconds(counters.CGROUPS, "destroy"):
            for _ in range(_ATTEMPTS):
                if not _remove_or_kill(there):
                    return
                time.sleep(_DYING_SECONDS)
            log.warning("cgroup %s: what runs in it cannot be killed", group)

    def memory(self, group: str) -> tuple[int, int]:
        """Its limit, 0 where it has none, and what it uses."""
        tree, limit, used = (
            (self.mounted, "memory.max", "memory.current")
            if self.is_v2
            else (self.mounted / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        directory = tree / group.lstrip("/")
        most = number(directory / limit) or 0
        return 0 if most > _UNLIMITED else most, number(directory / used) or 0

    def pods(self) -> list[str]:
        """Uids of pods that have a group."""
        found = set()
        for tree in self._trees():
            for tier in _TIERS:
                top = tree / self.names.of_pods(tier).lstrip("/")
                if top.is_dir():
                    found |= {uid for entry in top.iterdir() if (uid := self.names.pod(entry.name)) is not None}
        return sorted(found)

    def remove_pod(self, uid: str) -> None:
        """Whatever its QoS class was."""
        for tier in _TIERS:
            self.remove(self.names.of_pod(uid, tier))

    @property
    def is_v2(self) -> bool:
        return (self.mounted / "cgroup.controllers").exists()

    def _trees(self) -> list[Path]:
        if self.is_v2 or not self.mounted.is_dir():
            return [self.mounted]
        return [entry for entry in self.mounted.iterdir() if entry.is_dir() and not entry.is_symlink()]

    def _write(self, controller: str, group: str, limits: Mapping[str, int]) -> None:
        directory = self.mounted / controller / group.lstrip("/")
        if not (self.mounted / controller).exists():
            return  # a machine without this controller cannot limit by it
        directory.mkdir(parents=True, exist_ok=True)
        for file, value in limits.items():
            (directory / file).write_text(str(value))

    def _apply_v2(self, group: str, resources: LinuxResources) -> None:
        directory = self.mounted
        for part in group.strip("/").split("/"):
            control = directory / "cgroup.subtree_control"
            for controller in _words(directory / "cgroup.controllers") & _V2_CONTROLLERS - _words(control):
                with contextlib.suppress(OSError):  # one that cannot be had leaves the others
                    control.write_text(f"+{controller}")
            directory /= part
            directory.mkdir(exist_ok=True)
        (directory / "cpu.weight").write_text(str(weight(resources.cpu_shares)))
        (directory / "cpu.max").write_text(f"{resources.cpu_quota or 'max'} {resources.cpu_period}")
        (directory / "memory.max").write_text(str(resources.memory_limit_in_bytes or "max"))
        if (pids := self._pids(group)) > 0:
            (directory / "pids.max").write_text(str(pids))
        if self._is_pod(group):
            _limit_huge_pages(directory, "max", resources)

    def _pids(self, group: str) -> int:
        if group == self.names.of_pods():
            return self.all_pids
        return self.pids_limit if self._is_pod(group) else 0

    def _is_pod(self, group: str) -> bool:
        """Not a whole QoS class."""
        return self.names.pod(group.rpartition("/")[2]) is not None


def _remove_or_kill(groups: Iterable[Path]) -> bool:
    """Whether there was somebody to kill, who holds the group until he is gone."""
    has_killed = False
    for top in groups:
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                for pid in _words(Path(directory, "cgroup.procs")):
                    has_killed = True
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
    return has_killed


def _limit_huge_pages(directory: Path, file: str, resources: LinuxResources) -> None:
    """Those of every size that the kernel knows, and reservations of them: none that was not asked for."""
    limits = {limit.page_size: limit.limit for limit in resources.hugepage_limits}
    for found in directory.glob(f"hugetlb.*.{file}"):
        found.write_text(str(limits.get(found.name.split(".")[1], 0)))


def weight(shares: int) -> int:
    """Shares of v1 as a weight of v2: a line through both least and both greatest values."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def _words(file: Path) -> set[str]:
    try:
        return set(file.read_text().split())
    except OSError:
        return set()
