"""What a volume type is, and what it is given to work with.

`mount` is idempotent: it is called again after a restart of pylet and, for `live` types, whenever an object the volume
shows has changed. It returns the host path that containers mount. What a pod leaves behind (tmpfs, files) is removed by
the mounter for all types alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pylet.api.kind import Kind
from pylet.api.object import Key, Object


class VolumeError(Exception):
    """A volume cannot be made: the text is the message of the pod's FailedMount event."""


class References(Protocol):
    """The API objects a pod's volumes show, as the node sees them now."""

    async def get(self, kind: Kind, key: Key) -> Object | None: ...

    async def token(self, pod: Object, audience: str, expiration_seconds: int) -> tuple[str, datetime]:
        """A bound ServiceAccount token and when it should be replaced. Raises: ApiError."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """One volume of one pod: where it goes and what it may look at.

    `directory` is the volume's own, below the pod's; `again_at` hears when a live volume must be mounted again.
    """

    pod: Object
    name: str
    directory: Path
    references: References
    again_at: Callable[[datetime], None]

    @property
    def fs_group(self) -> int | None:
        group: int | None = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return group


class VolumeType(Protocol):
    source: str
    """The field of a pod's volume that asks for this type."""
    live: bool
    """Whether a change of what it shows must reach running containers."""

    async def mount(self, source: Object, place: Place) -> Path:
        """Make the volume and return the host path to give to containers. Raises: VolumeError."""
        ...
