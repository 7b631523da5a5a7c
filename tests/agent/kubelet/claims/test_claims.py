"""What drivers of a node are asked for the claims of its pods, and which driver that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pylet.agent.kubelet.claims import messages as m
from pylet.agent.kubelet.claims.preparing import Claims
from pylet.agent.kubelet.claims.registration import Drivers
from pylet.agent.kubelet.plugins import Refused
from pylet.agent.kubelet.provided import CannotProvide
from pylet.api.object import Key, Object
from pylet.cri.messages import CDIDevice
from pylet.cri.rpc import CallError

DRIVER = "dra.example.com"


class Socket:
    """A driver that answers; `error` is what it says of every claim."""

    def __init__(self, endpoint: str = "") -> None:
        self.endpoint = endpoint
        self.calls: list[tuple[str, list[str]]] = []
        self.error = ""

    async def call(self, path: str, request: m.Request, answer: type[Any], *, seconds: float) -> Any:
        self.calls.append((path.rpartition("/")[2], [claim.name for claim in request.claims]))
        if answer is m.UnprepareAnswer:
            return m.UnprepareAnswer(tuple(m.UnpreparedEntry(c.uid, m.Unprepared(self.error)) for c in request.claims))
        device = m.Device(("r",), "p", "d", ("example.com/gpu=d",))
        return m.PrepareAnswer(tuple(m.PreparedEntry(c.uid, m.Prepared((device,), self.error)) for c in request.claims))

    async def stream(self, *_: object) -> AsyncIterator[m.HealthAnswer]:
        raise CallError("Unimplemented", "unknown service")
        yield

    async def connections(self) -> AsyncIterator[bool]:
        yield True
        await asyncio.Event().wait()

    async def close(self) -> None:
        return


class Api:
    """A client that has claims by name, each reserved for the pods `a` and `b`."""

    async def get(self, kind: object, key: Key) -> Object:
        holders = [{"resource": "pods", "name": uid, "uid": uid} for uid in "ab"]
        allocation = {"devices": {"results": [{"request": "r", "driver": DRIVER, "pool": "p", "device": "d"}]}}
        meta = {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}
        return {"metadata": meta, "status": {"reservedFor": holders, "allocation": allocation}}


def made(directory: Path, socket: Socket) -> Claims:
    driver: Any = SimpleNamespace(name=DRIVER, socket=socket, service="/s")
    drivers: Any = SimpleNamespace(client=Api(), named=lambda name: driver if name == DRIVER else None)
    return Claims(directory / "state", drivers)


def pod(uid: str) -> Object:
    claims = [{"name": "gpu", "resourceClaimName": "c"}]
    return {"metadata": {"name": uid, "namespace": "default", "uid": uid}, "spec": {"resourceClaims": claims}}


def container(request: str = "") -> Object:
    return {"name": "c", "resources": {"claims": [{"name": "gpu", **({"request": request} if request else {})}]}}


async def test_a_claim_is_prepared_once_and_taken_back_with_its_last_pod(tmp_path: Path) -> None:
    claims = made(tmp_path, socket := Socket())
    for uid in "ab":
        await claims.prepare(pod(uid))
    assert socket.calls == [("NodePrepareResources", ["c"])]
    assert claims.devices(pod("a"), container()) == (CDIDevice("example.com/gpu=d"),)
    assert claims.devices(pod("a"), container("other")) == ()
    await claims.unprepare("a")
    assert len(socket.calls) == 1
    await claims.unprepare("b")
    assert socket.calls[1:] == [("NodeUnprepareResources", ["c"])]
    await claims.unprepare("b")
    assert len(socket.calls) == 2


async def test_what_was_begun_before_a_restart_is_taken_back(tmp_path: Path) -> None:
    socket = Socket()
    socket.error = "no"
    with pytest.raises(CannotProvide, match="NodePrepareResources failed for ResourceClaim c: no"):
        await made(tmp_path, socket).prepare(pod("a"))
    again = made(tmp_path, socket)
    assert not await again.keep({"b"}), "the driver refuses"
    socket.error = ""
    assert await again.keep({"b"})
    assert made(tmp_path, socket).held == {}


async def test_who_is_not_entitled_gets_nothing(tmp_path: Path) -> None:
    claims = made(tmp_path, socket := Socket())
    with pytest.raises(CannotProvide, match=r"pod x \(x\) is not allowed to use ResourceClaim c \(uid-c\)"):
        await claims.prepare(pod("x"))
    assert (socket.calls, claims.held) == ([], {})


async def test_the_old_driver_is_back_when_a_new_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylet.cri.socket.ServiceSocket", Socket)
    nothing: Any = SimpleNamespace(items=[])

    async def listed(*_: object, **__: object) -> Any:
        return nothing

    client: Any = SimpleNamespace(list=listed)
    clock: Any = SimpleNamespace(sleep=lambda _: asyncio.Event().wait())
    drivers = Drivers(client, "n", clock)
    running = asyncio.create_task(drivers.run())
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="none of services supported by the plugin"):
        await drivers.register(DRIVER, "/none", ("v1alpha1.DRAPlugin",))
    for endpoint in ("/old", "/new"):
        await drivers.register(DRIVER, endpoint, ("v1beta1.DRAPlugin", "v1.DRAPlugin"))
        await asyncio.sleep(0)
    assert (new := drivers.named(DRIVER)) is not None
    assert (new.endpoint, new.service) == ("/new", "/k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin")
    await drivers.deregister(DRIVER, "/new")
    assert (old := drivers.named(DRIVER)) is not None
    assert old.endpoint == "/old"
    await drivers.deregister(DRIVER, "/old")
    assert drivers.named(DRIVER) is None
    running.cancel()
