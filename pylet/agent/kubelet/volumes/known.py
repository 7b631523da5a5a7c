"""What is known of the volumes of one pod: those that are there, and what keeps the others away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pylet.agent.kubelet.volumes.bindings import Mounted
from pylet.agent.kubelet.volumes.claims import NotBound
from pylet.agent.kubelet.volumes.interface import NoRoom, Waiting
from pylet.agent.kubelet.volumes.references import ApiReferences
from pylet.api.kind import Kind
from pylet.api.object import Key, Object

# Upstream's: pkg/util/goroutinemap/exponentialbackoff.
FIRST_DELAY, LONGEST_DELAY = timedelta(milliseconds=500), timedelta(minutes=2, seconds=2)
_WHILE_UNBOUND, _WHILE_UNATTACHED = timedelta(seconds=1), timedelta(seconds=4)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a volume is not there: told to the user unless it is just a wait for somebody else."""

    message: str
    delay: timedelta
    until: datetime
    told: bool = False
    is_unattached: bool = False
    is_without_room: bool = False


@dataclass(slots=True)
class PodVolumes:
    """What is known of one pod's volumes; `lock` keeps mount, refresh and unmount of one pod apart."""

    pod: Object
    since: datetime
    is_frozen: bool = False
    done: dict[str, Mounted] = field(default_factory=dict)
    trouble: dict[str, Trouble] = field(default_factory=dict)
    """Of those that are not there."""
    stale: dict[str, Trouble] = field(default_factory=dict)
    """Of those that are, as they were."""
    refers_to: set[tuple[Kind, Key]] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Tracked:
    """References of one pod: notes what it asked for, so that a change of it reaches the pod."""

    def __init__(self, references: ApiReferences, seen: set[tuple[Kind, Key]]) -> None:
        self._references = references
        self._seen = seen
        self.token = references.token
        self.read = references.read
        self.say = references.say

    async def get(self, kind: Kind, key: Key) -> Object | None:
        self._seen.add((kind, key))
        return await self._references.get(kind, key)


def trouble(failed: Exception, name: str, before: Trouble | None, now: datetime) -> Trouble:
    """What comes of a try to mount the volume `name` of a pod, the last one of which ended with `before`."""
    delay = FIRST_DELAY if before is None else min(before.delay * 2, LONGEST_DELAY)
    match failed:
        case NotBound():
            processed = f"unmounted volumes=[{name}], unattached volumes=[], failed to process volumes=[{name}]"
            message = f"Unable to attach or mount volumes: {processed}: {failed}"
            told = before is not None and before.message == message
            return Trouble(message, FIRST_DELAY, now + _WHILE_UNBOUND, told)
        case Waiting():
            delay = min(delay, _WHILE_UNATTACHED)
            full = isinstance(failed, NoRoom)
            return Trouble(str(failed), delay, now + delay, told=True, is_unattached=True, is_without_room=full)
    return Trouble(str(failed), delay, now + delay)
