"""What a volume type is, and what it is given to work with.

`mount` is idempotent: it is called again after a restart of pylet and, for `live` types, whenever an object the volume
shows has changed. It returns the host path that containers mount. What a pod leaves behind (mounts, files) is removed
by the mounter for all types alike; `unmount` is for types that must tell somebody before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol
from weakref import WeakValueDictionary

from pylet.aio.clock import Clock
from pylet.api.kind import Kind
from pylet.api.object import Key, Object

if TYPE_CHECKING:
    from pylet.agent.kubelet.volumes.csi_driver import Driver
    from pylet.agent.kubelet.volumes.image import ImageSource


SET_UP, MOUNT_DEVICE = "MountVolume.SetUp", "MountVolume.MountDevice"
AS_BLOCK = {SET_UP: "MapVolume.MapPodDevice", MOUNT_DEVICE: "MapVolume.SetUpDevice"}
"""What upstream calls the same of a volume that is a device."""


class VolumeError(Exception):
    """A volume cannot be made, or removed: the text goes into the pod's event, after what was tried as `operation`.

    `again_at` is when it is worth another try, where that is known.
    """

    def __init__(self, text: str, *, operation: str = SET_UP) -> None:
        super().__init__(text)
        self.operation = operation
        self.again_at: datetime | None = None


class Waiting(VolumeError):
    """Somebody else must do his part first: no event, unless it takes too long."""


class NoRoom(Waiting):
    """The node can attach no more volumes, its driver says: if that stays so, the pod must go elsewhere."""


class References(Protocol):
    """The API objects a pod's volumes show, as the node sees them now."""

    async def get(self, kind: Kind, key: Key) -> Object | None:
        """The object as it is now; the volume is mounted again when it changes. Raises: ApiError."""
        ...

    async def read(self, kind: Kind, key: Key) -> Object | None:
        """The object as it is now, once: for what a node may get but not watch. Raises: ApiError."""
        ...

    async def token(self, pod: Object, audience: str, expiration_seconds: int) -> tuple[Object, datetime]:
        """A bound ServiceAccount token (a TokenRequest's status) and when to replace it. Raises: ApiError."""
        ...

    async def say(self, claim: Object, status: Object) -> None:
        """Change what differs in the status of `claim`. Raises: ApiError."""
        ...


@dataclass(slots=True)
class Host:
    """What the volumes of all pods of a node share: its registered CSI drivers, and what this process has mounted.

    `root` is the kubelet's directory; `published` holds the volumes' and staging directories that drivers have made
    here since pylet started. `in_use` has the names, in a node's status, of volumes that are attached to it. Of the
    volumes' directories in `half_staged` nobody knows whether their drivers have staged them; drivers in
    `failed_to_unstage` have volumes staged that no pod uses. `tell` makes an Event: about what, type, reason, message.
    """

    root: Path
    clock: Clock
    images: ImageSource | None = None
    drivers: dict[str, Driver] = field(default_factory=dict)
    published: set[Path] = field(default_factory=set)
    in_use: dict[Path, str] = field(default_factory=dict)
    half_staged: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    failed_to_unstage: set[str] = field(default_factory=set)
    tell: Callable[[Object, str, str, str], None] = lambda *_: None
    _locks: WeakValueDictionary[Path, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def lock(self, what: Path) -> asyncio.Lock:
        """Forgotten when nobody holds it or waits for it."""
        return self._locks.setdefault(what, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class Place:
    """One volume of one pod: where it goes and what it may look at.

    `directory` is the volume's own, below the pod's; `again_at` hears when a live volume must be mounted again.
    `volume` is the PersistentVolume behind `claim`, None for what the pod's spec says itself.
    """

    pod: Object
    name: str
    directory: Path
    references: References
    again_at: Callable[[datetime], None]
    host: Host
    volume: Object | None = None
    claim: Object | None = None
    read_only: bool = False

    @property
    def fs_group(self) -> int | None:
        group: int | None = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return group

    @property
    def only_on_root_mismatch(self) -> bool:
        context = self.pod["spec"].get("securityContext") or {}
        return bool(context.get("fsGroupChangePolicy") == "OnRootMismatch")

    @property
    def is_block(self) -> bool:
        """The container gets a device, not a directory."""
        return self.volume is not None and self.volume["spec"].get("volumeMode") == "Block"

    @property
    def mount_options(self) -> list[str]:
        return [] if self.volume is None else list(self.volume["spec"].get("mountOptions") or ())


class VolumeType:
    """One type; a file of this package declares one as `VOLUME`."""

    source: ClassVar[str]
    """The field of a pod's volume, or of a PersistentVolume's spec, that asks for this type."""
    plugin: ClassVar[str]
    """Upstream's name of the plugin, as the pod's directories are named: `kubernetes.io~<plugin>`."""
    live: ClassVar[bool] = False
    """Whether a change of what it shows must reach running containers."""
    read_only: ClassVar[bool] = False
    """Whether containers never write to it, whatever their mounts say."""

    async def mount(self, source: Object, place: Place) -> Path:
        """Make the volume and return the host path to give to containers. Raises: VolumeError."""
        raise NotImplementedError

    async def unmount(self, directory: Path, host: Host) -> None:
        """Before the mounter detaches and removes the volume's directory. Raises: VolumeError."""
