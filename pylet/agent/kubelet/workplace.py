"""What the workers of a node share, and what they ask of its other parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pylet.agent.kubelet.admission import Abilities
from pylet.agent.kubelet.allocations import Allocations
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.credentials import Keys
from pylet.agent.kubelet.images import Images
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.turns import PEAK, Turns
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.client.events import Recorder
from pylet.client.interface import Client
from pylet.client.view import View
from pylet.cri import interface as cri

Isolate = Callable[[Object, tuple[str, ...]], Awaitable[None]]
"""(pod, its addresses): returns once network policies hold for it. It is called before anything of the pod starts."""


async def is_open(pod: Object, addresses: tuple[str, ...]) -> None:
    """Where nothing is to be waited for."""


class Volumes(Protocol):
    async def mount(self, pod: Object, images: Collection[str] = ()) -> Mapping[str, Path]:
        """Where each volume is. Raises: NotMounted."""
        ...

    def adopt(self, pod: Object) -> None: ...

    def follow(self, pod: Object) -> None: ...

    def freeze(self, pod_uid: str) -> None: ...

    async def bind(
        self, pod: Object, container: Object, environment: Mapping[str, str], *, recursive_read_only: bool
    ) -> Bindings:
        """Raises: VolumeError."""
        ...

    async def release(self, pod_uid: str) -> None:
        """Raises: VolumeError."""
        ...

    async def unmount(self, pod_uid: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Node:
    """`starts` bounds how much is started at a time."""

    client: Client
    runtime: cri.Runtime
    volumes: Volumes
    images: Images
    keys: Keys
    view: View
    clock: Clock
    recorder: Recorder
    settings: Settings
    cgroups: Cgroups
    abilities: Abilities
    starts: Turns
    pods: Callable[[], list[Object]]
    """Those bound to this node, as the API has them."""
    end_all: Callable[[Iterable[Object], Ending], Awaitable[None]]
    """Make pods fail; returns when they have ended."""
    closing: asyncio.Event
    provisions: Provisions
    allocations: Allocations
    isolate: Isolate = is_open
    network_problem: Callable[[], str] = str
    """Why pods cannot be given addresses now, or nothing."""
    ends: Turns = field(default_factory=lambda: Turns(PEAK))
    """Bounds how much is taken down at a time; who waits for a container to end is not counted."""
