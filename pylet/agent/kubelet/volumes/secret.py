"""secret: the keys of a Secret as files on a tmpfs, kept up to date; never written to a disk."""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes.files import secret_files, show
from pylet.agent.kubelet.volumes.interface import Place, VolumeType
from pylet.agent.kubelet.volumes.payload import DEFAULT_MODE
from pylet.api.object import Object


class SecretVolume(VolumeType):
    source = "secret"
    plugin = "secret"
    live = True
    read_only = True

    async def mount(self, source: Object, place: Place) -> Path:
        named = {**source, "name": source.get("secretName", "")}
        return show(place, await secret_files(named, place, source.get("defaultMode", DEFAULT_MODE)), in_memory=True)


VOLUME = SecretVolume()
