"""One CSI volume of a pod: where it goes, and what its driver is told of it. Pure.

Source: upstream `pkg/volume/csi/{csi_mounter,csi_util}.go`, messages included.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pylet.agent.kubelet.volumes.csi_driver import Block, Can, Capability, Mount, access_mode
from pylet.agent.kubelet.volumes.interface import SET_UP, Place, VolumeError
from pylet.api.csi import attachment_name
from pylet.api.object import Object, dig


@dataclass(frozen=True, slots=True)
class Volume:
    """One CSI volume of a pod; `facts` is the driver's CSIDriver object, empty without one."""

    source: Object
    place: Place
    facts: Object

    @property
    def is_ephemeral(self) -> bool:
        return self.place.volume is None

    @property
    def handle(self) -> str:
        """An ephemeral volume is named after its pod and itself: nobody else has it."""
        if self.is_ephemeral:
            named = f"{self.place.pod['metadata']['uid']}{self.place.name}"
            return f"csi-{hashlib.sha256(named.encode()).hexdigest()}"
        return str(self.source["volumeHandle"])

    @property
    def attachment(self) -> str:
        return attachment_name(self.handle, self.source["driver"], self.place.pod["spec"]["nodeName"])

    @property
    def modes(self) -> list[str]:
        volume = self.place.volume
        return ["ReadWriteOnce"] if volume is None else list(volume["spec"].get("accessModes") or ["ReadWriteOnce"])

    @property
    def read_only(self) -> bool:
        return self.place.read_only or bool(self.source.get("readOnly"))

    def staging(self) -> Path:
        plugins = self.place.host.root / "plugins" / "kubernetes.io" / "csi"
        if self.place.is_block:
            return plugins / "volumeDevices" / self.place.name / "staging"
        driver = str(self.source["driver"])
        return plugins / driver / hashlib.sha256(self.handle.encode()).hexdigest() / "globalmount"

    def target(self) -> Path:
        if self.place.is_block:
            devices = self.place.host.root / "plugins" / "kubernetes.io" / "csi" / "volumeDevices" / "publish"
            return devices / self.place.name / str(self.place.pod["metadata"]["uid"])
        return self.place.directory / "mount"

    def capability(self, can: frozenset[int]) -> Capability:
        mode = access_mode(self.modes[0], multi_writer=Can.MULTI_WRITER in can)
        if self.place.is_block:
            return Capability.of(Block(), mode)
        group = self.place.fs_group if Can.MOUNT_GROUP in can else None
        mount = Mount(
            self.source.get("fsType", ""), tuple(self.place.mount_options), "" if group is None else str(group)
        )
        return Capability.of(mount, mode)

    def check_lifecycle(self) -> None:
        """Raises: VolumeError."""
        mode, name = "Ephemeral" if self.is_ephemeral else "Persistent", self.source["driver"]
        refused = f'volume mode "{mode}" not supported by driver {name}'
        if not self.facts and self.is_ephemeral:
            raise csi_error(f"mounter.SetupAt failed to check volume lifecycle mode: {refused} (no CSIDriver object)")
        modes = dig(self.facts, "spec", "volumeLifecycleModes", default=["Persistent"])
        if mode not in modes:
            only = " ".join(f'"{each}"' for each in modes)
            words = f"mounter.SetupAt failed to check volume lifecycle mode: {refused} (only supports [{only}])"
            raise csi_error(words)

    def takes_group(self, can: frozenset[int]) -> bool:
        """Whether the node must give the volume to the pod's fsGroup: the driver's policy decides."""
        policy = dig(self.facts, "spec", "fsGroupPolicy", default="ReadWriteOnceWithFSType")
        if self.place.is_block or self.read_only or policy == "None" or Can.MOUNT_GROUP in can:
            return False
        return policy == "File" or (bool(self.source.get("fsType")) and "ReadWriteOnce" in self.modes)


def csi_error(words: str, *, operation: str = SET_UP) -> VolumeError:
    return VolumeError(f"kubernetes.io/csi: {words}", operation=operation)
