"""A DRA driver: prepares what pods claim of it, which is an environment variable, and remembers what it was asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import grpc
import orjson

from pylet.agent.kubelet.claims import messages as m
from pylet.agent.kubelet.plugins import InfoRequest, PluginInfo, RegistrationStatus
from pylet.cri import wire

NAME = f"dra-{os.getpid()}.example.com"  # the folder below is the whole machine's
_DEVICE = {"name": "only", "containerEdits": {"env": ["DEVICE=only"]}}
_CDI = Path(f"/var/run/cdi/{NAME}.json")


class DraDriver:
    """`with DraDriver(kubelet_directory) as driver`: it is registered when `is_registered`."""

    def __init__(self, directory: Path) -> None:
        self.prepared: list[str] = []
        self.unprepared: list[str] = []
        self.is_registered = False
        self.fails = ""
        self.health: Queue[m.HealthAnswer] = Queue()
        self._socket = directory / "plugins" / "dra.sock"
        self._registration = directory / "plugins_registry" / "dra-reg.sock"
        self._server: Any = None

    def __enter__(self) -> DraDriver:
        self._socket.parent.mkdir(parents=True, exist_ok=True)
        _CDI.parent.mkdir(exist_ok=True)
        _CDI.write_bytes(orjson.dumps({"cdiVersion": "0.6.0", "kind": f"{NAME}/device", "devices": [_DEVICE]}))
        self._server = grpc.server(ThreadPoolExecutor(4))
        service = "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"
        answers = {
            "NodePrepareResources": _unary(m.Request, self._prepare),
            "NodeUnprepareResources": _unary(m.Request, self._unprepare),
        }
        registration = {
            "GetInfo": _unary(
                InfoRequest, lambda _: PluginInfo("DRAPlugin", NAME, str(self._socket), ("v1.DRAPlugin",))
            ),
            "NotifyRegistrationStatus": _unary(RegistrationStatus, self._told),
        }
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(service, answers),
                grpc.method_handlers_generic_handler("pluginregistration.Registration", registration),
                grpc.method_handlers_generic_handler("v1alpha1.DRAResourceHealth", {"NodeWatchResources": self._watch}),
            )
        )
        for socket in (self._socket, self._registration):
            self._server.add_insecure_port(f"unix:{socket}")
        self._server.start()
        return self

    @property
    def _watch(self) -> Any:
        def answers(asked: m.Nothing, context: grpc.ServicerContext) -> Iterator[m.HealthAnswer]:
            while context.is_active():
                with suppress(Empty):
                    yield self.health.get(timeout=0.2)

        return grpc.unary_stream_rpc_method_handler(answers, partial(wire.decode, m.Nothing), wire.encode)

    def tell_health(self, health: int, message: str) -> None:
        self.health.put(m.HealthAnswer((m.DeviceHealth(m.DevicePlace("p", "only"), health, 0, 600, message),)))

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
        for file in (self._socket, self._registration, _CDI):
            file.unlink(missing_ok=True)

    def _told(self, status: RegistrationStatus) -> InfoRequest:
        self.is_registered = status.plugin_registered
        return InfoRequest()

    def _prepare(self, request: m.Request) -> m.PrepareAnswer:
        fails = self.fails  # the test changes it meanwhile
        if not fails:
            self.prepared += [claim.name for claim in request.claims]
        devices = () if fails else (m.Device((), "p", "only", (f"{NAME}/device=only",)),)
        result = m.Prepared(devices, fails)
        return m.PrepareAnswer(tuple(m.PreparedEntry(claim.uid, result) for claim in request.claims))

    def _unprepare(self, request: m.Request) -> m.UnprepareAnswer:
        self.unprepared += [claim.name for claim in request.claims]
        return m.UnprepareAnswer(tuple(m.UnpreparedEntry(claim.uid) for claim in request.claims))


def _unary(request: type[Any], answer: Callable[[Any], Any]) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        lambda asked, _: answer(asked), partial(wire.decode, request), wire.encode
    )
