"""Leaves nothing of a pod that has ended on the node."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from pylet.agent.kubelet import log_links
from pylet.agent.kubelet.config import log_directory
from pylet.agent.kubelet.observed import Observed
from pylet.agent.kubelet.spec import has_own_users
from pylet.agent.kubelet.workplace import Node
from pylet.api.object import Object, uid_of


async def release(pod: Object, node: Node) -> None:
    """Give back what a pod held whose containers have ended for good. Raises: VolumeError."""
    await node.volumes.release(uid_of(pod))
    node.provisions.release()
    node.allocations.forget(uid_of(pod))
    if has_own_users(pod):
        from pylet.agent.kubelet import user_namespaces

        user_namespaces.release(pod, node.settings)


async def remove(pod: Object, observed: Observed, node: Node) -> None:
    """Raises: CriError, CannotProvide, VolumeError."""
    uid = uid_of(pod)
    await node.provisions.unprepare(uid)
    async with node.ends.finish():
        for group in observed.containers.values():
            for container in group:
                await node.runtime.remove_container(container.id)
        for sandbox in observed.sandboxes:
            await node.runtime.stop_sandbox(sandbox.id)
            await node.runtime.remove_sandbox(sandbox.id)
    await node.volumes.unmount(uid)
    await asyncio.to_thread(_remove_files, pod, observed, node)


def left_logs(log_root: Path, alive: Collection[str]) -> list[Path]:
    """Directories of pods' logs whose pods are not `alive`, by their uids; what is named otherwise is not ours."""
    if not log_root.is_dir():
        return []
    return [path for path in log_root.iterdir() if path.name.count("_") == 2 and path.name.split("_")[2] not in alive]


def remove_logs(left: Iterable[Path], log_root: Path) -> None:
    """And links that lead to logs no more."""
    for directory in left:
        shutil.rmtree(directory, ignore_errors=True)
    log_links.sweep(log_root)


def _remove_files(pod: Object, observed: Observed, node: Node) -> None:
    node.cgroups.remove_pod(uid_of(pod))
    for group in observed.containers.values():
        for container in group:
            log_links.unlink(pod, container.name, container.id, node.settings)
    shutil.rmtree(log_directory(pod, node.settings), ignore_errors=True)
