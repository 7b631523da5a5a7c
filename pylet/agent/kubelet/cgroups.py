"""The pods' control groups: made before the first container where the pod has limits, removed when the pod is gone.

Both layouts are known: v1 with a tree for each controller, v2 with one. A runtime makes what is missing by itself, but
never removes a pod's group.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def remove(parent: str) -> None:
    """Remove the group `parent` (a path from the root) and what is below it, in every tree. Busy ones stay."""
    for tree in _trees():
        top = tree / parent.lstrip("/")
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def pods(cgroup_root: str) -> list[str]:
    """Uids of pods that have a group below `<cgroup_root>/kubepods`."""
    found = set()
    for tree in _trees():
        top = tree / cgroup_root.strip("/") / "kubepods"
        for tier in (top, top / "burstable", top / "besteffort"):
            if tier.is_dir():
                found |= {entry.name.removeprefix("pod") for entry in tier.iterdir() if entry.name.startswith("pod")}
    return sorted(found)


def _trees() -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [entry for entry in _ROOT.iterdir() if entry.is_dir() and not entry.is_symlink()]
