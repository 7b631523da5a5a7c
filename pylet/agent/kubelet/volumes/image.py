"""image: the files of a container image, read-only.

containerd before 2.0 does not know image volumes, so pylet mounts them itself with containerd's own `ctr`: a view of
the image's layers, not a copy. Source: upstream KEP-4639.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.image_names import with_tag
from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.interface import Host, Place, VolumeError, VolumeType
from pylet.api.object import Object
from pylet.cri.interface import CriError, Runtime

_NAMESPACE = "k8s.io"


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Where images come from: the runtime pulls, `socket` is containerd's."""

    runtime: Runtime
    socket: str

    async def ctr(self, *command: str) -> None:
        """Raises: VolumeError."""
        await tools.run("ctr", "-a", self.socket, "-n", _NAMESPACE, "images", *command)


class ImageVolume(VolumeType):
    source = "image"
    plugin = "image"
    read_only = True

    async def mount(self, source: Object, place: Place) -> Path:
        if mounts.is_mounted(place.directory):
            return place.directory
        counters.IMAGE_VOLUMES.add()
        try:
            await self._mount(source, place)
        except VolumeError:
            counters.IMAGE_VOLUME_ERRORS.add()
            raise
        counters.IMAGE_VOLUMES_MOUNTED.add()
        return place.directory

    async def _mount(self, source: Object, place: Place) -> None:
        """Raises: VolumeError."""
        images = place.host.images
        if images is None:
            raise VolumeError("image volumes are not served by this node")
        tools.need("ctr", "containerd")
        reference = source["reference"]
        try:
            image = await images.runtime.image_status(with_tag(reference))
        except CriError as failed:
            raise VolumeError(str(failed)) from failed
        if image is None:
            raise VolumeError(f'image "{reference}" is not present')
        place.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        await images.ctr("mount", image.id, str(place.directory))

    async def unmount(self, directory: Path, host: Host) -> None:
        if host.images is not None and mounts.is_mounted(directory):
            await host.images.ctr("unmount", "--rm", str(directory))


VOLUME = ImageVolume()
