"""emptyDir: a directory, or a tmpfs for the Memory medium, that lives as long as its pod."""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes import mounts
from pylet.agent.kubelet.volumes.interface import Place
from pylet.agent.kubelet.volumes.ownership import give_to_group
from pylet.api import quantity
from pylet.api.object import Object


class EmptyDir:
    source = "emptyDir"
    live = False

    async def mount(self, source: Object, place: Place) -> Path:
        directory = place.directory
        fresh = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
        if source.get("medium") == "Memory":
            limit = source.get("sizeLimit")
            mounts.mount_tmpfs(directory, size_bytes=quantity.value_of(limit) if limit else None)
        if fresh:
            directory.chmod(0o777)
            give_to_group(directory, place.fs_group)
        return directory


VOLUME = EmptyDir()
