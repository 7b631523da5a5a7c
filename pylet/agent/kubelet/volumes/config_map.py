"""configMap: the keys of a ConfigMap as files, kept up to date."""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes.files import config_map_files, show
from pylet.agent.kubelet.volumes.interface import Place, VolumeType
from pylet.agent.kubelet.volumes.payload import DEFAULT_MODE
from pylet.api.object import Object


class ConfigMapVolume(VolumeType):
    source = "configMap"
    plugin = "configmap"
    live = True
    read_only = True

    async def mount(self, source: Object, place: Place) -> Path:
        return show(place, await config_map_files(source, place, source.get("defaultMode", DEFAULT_MODE)))


VOLUME = ConfigMapVolume()
