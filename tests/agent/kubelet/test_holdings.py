"""What those who watch over a node are told of who holds what."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import pytest

from pylet.agent.kubelet import holdings, pod_resources
from pylet.agent.kubelet.claims.ledger import Held
from pylet.agent.kubelet.claims.messages import Device as Claimed
from pylet.agent.kubelet.devices.ledger import Ledger
from pylet.agent.kubelet.devices.messages import Device, Given, NumaNode, Topology
from pylet.agent.kubelet.placement.placing import Placement
from pylet.agent.kubelet.placement.settings import Settings
from pylet.api.object import Key
from pylet.cri import wire
from pylet.cri.served import Refused
from tests.agent.kubelet.builders import container, pod
from tests.agent.kubelet.placement.machines import GI, TWO_SOCKETS
from tests.waiting import until

NAME = "x.io/d"
NODE_1 = Topology((NumaNode(1),))
AMOUNTS = {"cpu": "2", "memory": "1Gi"}
RESOURCES = {"requests": AMOUNTS, "limits": AMOUNTS}
POD = pod(container(resources=RESOURCES), init=(container("init", resources=RESOURCES),))


@pytest.fixture
def ledger() -> Ledger:
    found = Ledger()
    found.listed(NAME, [Device("a", "Healthy", NODE_1), Device("b", "Healthy"), Device("c", "Unhealthy")])
    found.grant("u1", "main", NAME, ["a", "b"], Given())
    return found


@pytest.fixture
def placement(tmp_path: Path) -> Placement:
    settings = Settings("static", reserved_cpus=frozenset((0, 6)), memory_policy="Static")
    found = Placement(tmp_path, TWO_SOCKETS, settings, {"cpu": 0, "memory": 0})
    for pool in found.pools:
        pool.allocate(POD, POD["spec"]["containers"][0])
    return found


def test_lists_what_app_containers_hold(ledger: Ledger, placement: Placement) -> None:
    held = holdings.Container(
        "main",
        (holdings.Devices(NAME, ("a",), NODE_1), holdings.Devices(NAME, ("b",))),
        (2, 8),
        (holdings.Memory("memory", GI, Topology((NumaNode(0),))),),
    )
    wanted = holdings.Pod("web", "default", (held,))
    of = holdings.Holdings(ledger, placement)
    assert wire.decode(holdings.Listed, holdings.answer("List", b"", [POD], of)).pod_resources == (wanted,)
    asked = wire.encode(holdings.Asked("web", "default"))
    assert wire.decode(holdings.Found, holdings.answer("Get", asked, [POD], of)).pod_resources == wanted
    with pytest.raises(Refused, match="pod web in namespace default not found"):
        holdings.answer("Get", asked, [], of)


def test_lists_what_claims_gave() -> None:
    device = Claimed(("r",), "p", "d", ("x.io/gpu=d",))
    held = Held(Key("default", "c"), "uid", {"dra.x.io": (device,)})
    of = holdings.Holdings(Ledger(), claims=lambda pod, container: [held] if container["name"] == "main" else [])
    listed = wire.decode(holdings.Listed, holdings.answer("List", b"", [POD], of)).pod_resources[0]
    given = holdings.ClaimResource((holdings.CdiDevice("x.io/gpu=d"),), "dra.x.io", "p", "d")
    assert listed.containers[0].dynamic_resources == (holdings.DynamicResource("c", "default", (given,)),)


def test_lists_what_can_be_given(ledger: Ledger, placement: Placement) -> None:
    told = wire.decode(
        holdings.Allocatable, holdings.answer("GetAllocatableResources", b"", [], holdings.Holdings(ledger, placement))
    )
    assert told.devices == (holdings.Devices(NAME, ("a",), NODE_1), holdings.Devices(NAME, ("b",)))
    assert told.cpu_ids == (1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
    assert [(block.memory_type, block.size) for block in told.memory] == [("memory", 10 * GI)] * 2
    assert (
        wire.decode(
            holdings.Allocatable, holdings.answer("GetAllocatableResources", b"", [], holdings.Holdings(Ledger()))
        )
        == holdings.Allocatable()
    )


@pytest.mark.parametrize("version", ["v1", "v1alpha1"])
async def test_either_version_is_told_who_holds_which_devices(version: str, ledger: Ledger, tmp_path: Path) -> None:
    serving = asyncio.create_task(pod_resources.serve(tmp_path, lambda: [POD], lambda: holdings.Holdings(ledger)))
    socket = tmp_path / "kubelet.sock"
    await until(socket.exists)
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        answer = await channel.unary_unary(f"/{version}.PodResourcesLister/List")(b"", wait_for_ready=True)
    serving.cancel()
    (told,) = wire.decode(holdings.Listed, answer).pod_resources
    assert [held.device_ids for held in told.containers[0].devices] == [("a",), ("b",)]


async def test_who_asks_too_often_is_refused(tmp_path: Path) -> None:
    serving = asyncio.create_task(
        pod_resources.serve(tmp_path, lambda: [], lambda: holdings.Holdings(Ledger()), now=lambda: 0)
    )
    socket = tmp_path / "kubelet.sock"
    await until(socket.exists)
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        ask = channel.unary_unary("/v1.PodResourcesLister/List")
        for _ in range(10):
            await ask(b"", wait_for_ready=True)
        with pytest.raises(grpc.aio.AioRpcError, match="rejected by rate limit") as refused:
            await ask(b"")
    serving.cancel()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
