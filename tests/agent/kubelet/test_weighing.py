"""What all pods may have together, and what the node tells of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.weighing import Weighing
from pylet.cri.messages import LinuxResources
from tests.sim import virtual
from tests.sim.virtual import LoopClock


def test_what_pods_use_too_much_of_is_bounded_once_they_use_less(tmp_path: Path) -> None:
    refusals, told, applied = [OSError("busy")], [], []

    async def apply(group: str, resources: LinuxResources) -> None:
        if group == "/kubepods" and refusals:
            raise refusals.pop()
        applied.append(group)

    async def story() -> None:
        settings = Settings(node_name="n1", host_ips=(), root=tmp_path, memory_bytes=1 << 30)
        node: Any = SimpleNamespace(
            cgroups=SimpleNamespace(apply=apply),
            settings=settings,
            clock=LoopClock(),
            pods=list,
            tell=lambda *event: told.append(event),
        )
        weighing = Weighing(node, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(90):
                await weighing.run()

    virtual.run(story())
    assert applied == ["/kubepods/burstable", "/kubepods/besteffort", "/kubepods"]
    assert told == [
        (
            "Warning",
            "FailedNodeAllocatableEnforcement",
            'Failed to update Node Allocatable Limits "/kubepods": busy',
        ),
        ("Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods"),
    ]
