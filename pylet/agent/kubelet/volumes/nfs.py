"""nfs: an export of another machine, mounted by the node's own mount.nfs.

Source: upstream `pkg/volume/nfs/nfs.go`.
"""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.interface import Place, VolumeType
from pylet.api.object import Object


class Nfs(VolumeType):
    source = "nfs"
    plugin = "nfs"

    async def mount(self, source: Object, place: Place) -> Path:
        if mounts.is_mounted(place.directory):
            return place.directory
        tools.need("mount.nfs", "nfs-common (nfs-utils)")
        place.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        server = source["server"]
        where = f"[{server}]:{source['path']}" if ":" in server else f"{server}:{source['path']}"
        read_only = ["ro"] if place.read_only or source.get("readOnly") else []
        await tools.mount(where, str(place.directory), "nfs", [*read_only, *place.mount_options])
        return place.directory


VOLUME = Nfs()
