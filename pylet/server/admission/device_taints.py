"""A taint of a device says since when it is there.

Source: pkg/apis/resource/v1/defaults.go, SetDefaults_DeviceTaint.
"""

from __future__ import annotations

from pylet.api import timestamps
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin


async def admit(write: Attributes) -> None:
    assert write.obj is not None
    for device in write.obj["spec"].get("devices") or ():
        for taint in device.get("taints") or ():
            taint.setdefault("timeAdded", timestamps.format_time(write.now()))


PLUGIN = Plugin("DeviceTaintTime", {"resourceslices": frozenset((CREATE, UPDATE))}, admit)
