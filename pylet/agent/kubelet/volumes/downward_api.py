"""downwardAPI: the pod's own fields as files; labels and annotations follow their changes."""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes.files import own_files, show
from pylet.agent.kubelet.volumes.interface import Place, VolumeType
from pylet.agent.kubelet.volumes.payload import DEFAULT_MODE
from pylet.api.object import Object


class DownwardApi(VolumeType):
    source = "downwardAPI"
    plugin = "downward-api"
    live = True
    read_only = True

    async def mount(self, source: Object, place: Place) -> Path:
        return show(place, await own_files(source, place, source.get("defaultMode", DEFAULT_MODE)), in_memory=True)


VOLUME = DownwardApi()
