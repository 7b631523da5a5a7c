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
from pylet.agent.kubelet.machine import has_apparmor
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.turns import PEAK, Turns
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.aio.clock import Clock
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from pylet.client.events import Recorder
from pylet.client.interface import Client
from pylet.client.view import View
from pylet.cri import interface as cri

_NODE = {"apiVersion": "v1", "kind": "Node"}
Isolate = Callable[[Object, tuple[str, ...]], Awaitable[None]]
"""(pod, its addresses): returns once network policies hold for it. It is called before anything of the pod starts."""


async def is_open(pod: Object, addresses: tuple[str, ...]) -> None:
    """Where nothing is to be waited for."""


class Volumes(Protocol):
    """The volumes of all pods of the node; `wake` hears the uid of a pod for which another try is worth while."""

    wake: Callable[[str], None]

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

    def clean_up(self, alive: set[str]) -> None: ...


EndAll = Callable[[Iterable[Object], Ending, float | None], Awaitable[int]]
"""Make pods fail, and wait until nothing of them runs any more, nor is mounted; not longer than so many seconds.

None is as long as their ends may take, whatever is mounted then. Returns how many were there to be ended.
"""


async def _nobody(pods: Iterable[Object], ending: Ending, within: float | None) -> int:
    """Where there are no workers."""
    return 0


@dataclass(slots=True, kw_only=True)
class Node:
    """What is here for all pods alike. `starts` and `ends` bound how much is made and taken down at a time; who waits
    for a container to end is not counted."""

    client: Client
    runtime: cri.Runtime
    volumes: Volumes
    images: Images
    keys: Keys
    view: View
    clock: Clock
    settings: Settings
    cgroups: Cgroups
    provisions: Provisions
    isolate: Isolate = is_open
    network_problem: Callable[[], str] = str
    """Why pods cannot be given addresses now, or nothing."""
    end_all: EndAll = _nobody
    """Set by who has the workers."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """That the machine goes down: no pod begins any more."""
    starts: Turns = field(default_factory=lambda: Turns(PEAK))
    ends: Turns = field(default_factory=lambda: Turns(PEAK))
    recorder: Recorder = field(init=False)
    abilities: Abilities = field(init=False)
    allocations: Allocations = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.client, self.clock, "kubelet", self.settings.node_name)
        self.abilities = Abilities(has_apparmor(), self.settings.unsafe_sysctls)
        self.allocations = Allocations(self.settings.root)

    def tell(self, type_: str, reason: str, message: str) -> None:
        """An Event about the node itself."""
        name = self.settings.node_name
        self.recorder.tell({**_NODE, "metadata": {"name": name, "uid": name}}, type_, reason, message)

    def pods(self) -> list[Object]:
        """Those bound to this node, as the API has them."""
        return self.view.with_field(POD, "spec.nodeName", self.settings.node_name)
