"""emptyDir: a directory, or a tmpfs for the Memory medium, that lives as long as its pod.

Source: upstream `pkg/volume/emptydir/empty_dir.go`; the size of a tmpfs: the volume manager's
calculateEmptyDirMemorySize.
"""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes import mounts
from pylet.agent.kubelet.volumes.interface import Place, VolumeError, VolumeType
from pylet.agent.kubelet.volumes.ownership import give_to_group
from pylet.api import quantity
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, dig


class EmptyDir(VolumeType):
    source = "emptyDir"
    plugin = "empty-dir"

    async def mount(self, source: Object, place: Place) -> Path:
        directory, medium = place.directory, source.get("medium", "")
        if medium not in ("", "Memory"):
            known = medium == "HugePages" or medium.startswith("HugePages-")
            raise VolumeError(f"medium {medium} is not served by this node" if known else _unknown(medium))
        ready = place.directory.parents[2] / "plugins" / "kubernetes.io~empty-dir" / place.name / "ready"
        if directory.is_dir() and ready.exists() and (not medium or mounts.is_mounted(directory)):
            return directory  # the pod may have changed its mode since
        directory.mkdir(parents=True, exist_ok=True)
        if medium == "Memory":
            mounts.mount_tmpfs(directory, size_bytes=tmpfs_bytes(source, place.pod, await _node(place)))
        else:
            directory.chmod(0o777)
        give_to_group(directory, place.fs_group)
        ready.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        ready.touch()
        return directory


def tmpfs_bytes(source: Object, pod: Object, node: Object | None) -> int | None:
    """The least of what the node has, the pod may use and the volume asks for; None where nothing is known."""
    bounds = [dig(node or {}, "status", "allocatable", "memory"), source.get("sizeLimit")]
    sizes = [quantity.value_of(bound) for bound in bounds if bound]
    sizes.append(_limit_bytes(pod))
    return min((size for size in sizes if size > 0), default=None)


def _limit_bytes(pod: Object) -> int:
    """What all containers of the pod may use together, 0 if one of them is not limited."""
    whole = dig(pod, "spec", "resources", "limits", "memory")
    if whole:
        return quantity.value_of(whole)
    limits = [dig(container, "resources", "limits", "memory") for container in pod["spec"]["containers"]]
    return sum(quantity.value_of(limit) for limit in limits) if all(limits) else 0


def _unknown(medium: str) -> str:
    return f'unknown storage medium "{medium}"'


async def _node(place: Place) -> Object | None:
    return await place.references.read(NODE, Key("", place.pod["spec"].get("nodeName", "")))


VOLUME = EmptyDir()
