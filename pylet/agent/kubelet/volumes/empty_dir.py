"""emptyDir: a directory, a tmpfs for the Memory medium or a hugetlbfs for HugePages, that lives as long as its pod.

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
from pylet.api.resources import is_hugepages

_HUGE, _OF_SIZE = "HugePages", "hugepages-"


class EmptyDir(VolumeType):
    source = "emptyDir"
    plugin = "empty-dir"

    async def mount(self, source: Object, place: Place) -> Path:
        directory, medium = place.directory, source.get("medium", "")
        is_huge = medium == _HUGE or medium.startswith(f"{_HUGE}-")
        if not is_huge and medium not in ("", "Memory"):
            raise VolumeError(f'unknown storage medium "{medium}"')
        ready = place.directory.parents[2] / "plugins" / "kubernetes.io~empty-dir" / place.name / "ready"
        if directory.is_dir() and ready.exists() and (not medium or mounts.is_mounted(directory)):
            return directory  # the pod may have changed its mode since
        directory.mkdir(parents=True, exist_ok=True)
        if medium == "Memory":
            mounts.mount_tmpfs(directory, size_bytes=tmpfs_bytes(source, place.pod, await _node(place)))
        elif is_huge:
            mounts.mount_huge_pages(directory, page_size(medium, place.pod))
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


def page_size(medium: str, pod: Object) -> int:
    """In bytes: what the pod asks for has to have it. Raises: VolumeError."""
    spec = pod["spec"]
    asking = (spec, *spec["containers"], *(spec.get("initContainers") or ()))
    asked = {name for each in asking for name in dig(each, "resources", "requests", default={}) if is_hugepages(name)}
    sizes = {quantity.value_of(name.removeprefix(_OF_SIZE)) for name in asked}
    if medium != _HUGE:
        sizes &= {quantity.value_of(medium.removeprefix(f"{_HUGE}-"))}
    if len(sizes) > 1:
        raise VolumeError(f"medium: {medium} can't be used if container requests multiple huge page sizes")
    if not sizes:
        why = "hugePages storage requested, but there is no resource request for huge pages"
        raise VolumeError(f"medium {medium}: {why}")
    return sizes.pop()


async def _node(place: Place) -> Object | None:
    return await place.references.read(NODE, Key("", place.pod["spec"].get("nodeName", "")))


VOLUME = EmptyDir()
