"""A device plugin: offers the null device as often as it is told to, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc

from pylet.agent.kubelet.devices import messages as m
from pylet.cri import wire
from pylet.cri.messages import Device, Mount

NAME = "example.com/null"


class DevicePlugin:
    """`with DevicePlugin(directory, count) as plugin: plugin.register()`; `health` changes how a device fares."""

    def __init__(self, directory: Path, count: int) -> None:
        self.allocated: list[tuple[str, ...]] = []
        self.started: list[tuple[str, ...]] = []
        self._directory = directory
        self._devices = {f"null{number}": "Healthy" for number in range(count)}
        self._lists: SimpleQueue[m.DeviceList | None] = SimpleQueue()
        self._server: Any = None

    def __enter__(self) -> DevicePlugin:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def register(self) -> bool:
        """Serve, anew if need be, and tell the kubelet; whether it is there to be told."""
        self.stop()
        self._lists = SimpleQueue()
        self._tell()
        self._server = grpc.server(ThreadPoolExecutor(4))
        service = f"{m.VERSION}.DevicePlugin"
        answer = {
            "GetDevicePluginOptions": _unary(m.Empty, lambda _: m.Options(pre_start_required=True)),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                lambda *_: self._follow(), partial(wire.decode, m.Empty), wire.encode
            ),
            "Allocate": _unary(m.AllocateRequest, self._allocate),
            "PreStartContainer": _unary(m.DeviceIds, self._start),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, answer),))
        self._server.add_insecure_port(f"unix:{self._directory / 'null.sock'}")
        self._server.start()
        request = m.RegisterRequest(m.VERSION, "null.sock", NAME)
        with grpc.insecure_channel(f"unix:{self._directory / 'kubelet.sock'}") as kubelet:
            try:
                kubelet.unary_unary(f"/{m.VERSION}.Registration/Register")(wire.encode(request), timeout=30)
            except grpc.RpcError:
                return False
        return True

    def health(self, device: str, state: str) -> None:
        self._devices[device] = state
        self._tell()

    def stop(self) -> None:
        self._lists.put(None)
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def _tell(self) -> None:
        self._lists.put(m.DeviceList(tuple(m.Device(id_, health) for id_, health in self._devices.items())))

    def _follow(self) -> Iterator[m.DeviceList]:
        while (listed := self._lists.get()) is not None:
            yield listed

    def _allocate(self, request: m.AllocateRequest) -> m.AllocateAnswer:
        ids = request.container_requests[0].ids
        self.allocated.append(ids)
        nodes = tuple(Device(f"/dev/{id_}", "/dev/null", "rw") for id_ in ids)
        given = m.Given(
            {"DEVICES": ",".join(ids)}, (Mount("/mnt/os-release", "/etc/os-release", readonly=True),), nodes
        )
        return m.AllocateAnswer((given,))

    def _start(self, request: m.DeviceIds) -> m.Empty:
        self.started.append(request.ids)
        return m.Empty()


def _unary(request: type[Any], answer: Callable[[Any], Any]) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        lambda asked, _: answer(asked), partial(wire.decode, request), wire.encode
    )
