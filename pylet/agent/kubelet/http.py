"""What a kubelet serves on :10250: logs, exec, attach and port-forward of its containers, its pods and its health.

Who asks is proved by a certificate of the cluster's CA or a bearer token; whether they may is the API server's answer
to a SubjectAccessReview on `nodes/<subresource>`, as upstream's webhook authorizer asks it. Streams are joined with the
runtime's own streaming server byte by byte.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from pylet.agent.kubelet.access import Access, Denied
from pylet.agent.kubelet.logs import BadLogOptions, LogOptions, read
from pylet.aio.clock import Clock
from pylet.aio.splice import splice
from pylet.api.object import Object
from pylet.cri.interface import CriError, Runtime
from pylet.cri.messages import Container, ContainerState, SandboxState

log = logging.getLogger(__name__)

_POD_NAME, _POD_NAMESPACE, _CONTAINER = (
    "io.kubernetes.pod.name",
    "io.kubernetes.pod.namespace",
    "io.kubernetes.container.name",
)
_STREAM_HEADERS = frozenset({"connection", "upgrade", "x-stream-protocol-version"})


class Refused(Exception):
    """An answer other than 200: its code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class KubeletServer:
    """Serves until cancelled. `pods` gives the pods bound to this node; `tls` is asked for each (re)start."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        access: Access,
        clock: Clock,
        pods: Callable[[], list[Object]],
        address: str | None,
        port: int,
    ) -> None:
        self._runtime = runtime
        self._access = access
        self._clock = clock
        self._pods = pods
        self._address = address
        self._port = port

    async def run(self, tls: ssl.SSLContext) -> None:
        """Raises: OSError when the address cannot be listened on."""
        server = web.Server(self._answer, access_log=None)
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(server, self._address, self._port, ssl=tls, reuse_address=True)
        try:
            await asyncio.Event().wait()
        finally:
            listening.close()
            await server.shutdown(1.0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path == "/healthz":
                return web.Response(text="ok")
            parts = [part for part in request.path.split("/") if part]
            route, names = _ROUTES.get(parts[0] if parts else "", (None, ()))
            if route is None or len(names) != len(parts) - 1:
                raise Refused(404, "404 page not found")
            await self._access.check(request, _SUBRESOURCES.get(parts[0], "proxy"))
            return await route(self, request, *parts[1:])
        except Refused as refused:
            return web.Response(status=refused.code, text=str(refused))
        except Denied as denied:
            return web.Response(status=denied.code, text=str(denied))
        except CriError as failed:
            log.warning("%s %s: %s", request.method, request.path, failed)
            return web.Response(status=500, text=str(failed))

    async def _list_pods(self, request: web.BaseRequest) -> web.StreamResponse:
        listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._pods()}
        return web.Response(body=orjson.dumps(listed), content_type="application/json")

    async def _logs(self, request: web.BaseRequest, namespace: str, pod: str, container: str) -> web.StreamResponse:
        try:
            options = LogOptions.of(request.query, self._clock.now())
        except BadLogOptions as bad:
            raise Refused(400, str(bad)) from bad
        found = await self._container(namespace, pod, container, previous=options.previous)
        status = await self._runtime.container_status(found.id)
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        pieces = read(Path(status.log_path), options, self._is_running(found.id))
        try:
            async for piece in pieces:
                await answer.write(piece)
        except FileNotFoundError:
            await answer.write(f"unable to retrieve container logs for {status.log_path}\n".encode())
        except ConnectionResetError:
            return answer
        await answer.write_eof()
        return answer

    def _is_running(self, container_id: str) -> Callable[[], Awaitable[bool]]:
        async def is_running() -> bool:
            try:
                return (await self._runtime.container_status(container_id)).state is ContainerState.RUNNING
            except CriError:
                return False

        return is_running

    async def _exec(self, request: web.BaseRequest, namespace: str, pod: str, container: str) -> web.StreamResponse:
        found = await self._running(namespace, pod, container)
        streams = _streams(request.query)
        command = request.query.getall("command", [])
        if not command:
            raise Refused(400, "you must specify at least one command for the container")
        return await self._join(request, await self._runtime.exec(found.id, command, **streams))

    async def _attach(self, request: web.BaseRequest, namespace: str, pod: str, container: str) -> web.StreamResponse:
        found = await self._running(namespace, pod, container)
        return await self._join(request, await self._runtime.attach(found.id, **_streams(request.query)))

    async def _port_forward(self, request: web.BaseRequest, namespace: str, pod: str) -> web.StreamResponse:
        sandboxes = [
            sandbox
            for sandbox in await self._runtime.list_sandboxes()
            if sandbox.labels.get(_POD_NAME) == pod
            and sandbox.labels.get(_POD_NAMESPACE) == namespace
            and sandbox.state is SandboxState.READY
        ]
        if not sandboxes:
            raise Refused(404, f'pod "{pod}" is not running')
        ports = [int(port) for port in request.query.getall("port", []) + request.query.getall("ports", [])]
        return await self._join(request, await self._runtime.port_forward(sandboxes[0].id, ports))

    async def _join(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        """Pass the Upgrade and all that follows to the runtime's streaming server."""
        if request.headers.get("Upgrade") is None:
            raise Refused(400, "Upgrade request required")
        to = urlsplit(url)
        assert to.hostname is not None
        target = f"{to.path}?{to.query}" if to.query else to.path
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() in _STREAM_HEADERS or name.lower().startswith("sec-websocket-")
        ]
        head = f"{request.method} {target} HTTP/1.1\r\nHost: {to.netloc}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        near = request.transport
        if near is None:
            raise ConnectionResetError("the client has gone")
        await splice(near, to.hostname, to.port or 80, head.encode())
        request.protocol.connection_lost(None)
        return web.Response()

    async def _running(self, namespace: str, pod: str, container: str) -> Container:
        found = await self._container(namespace, pod, container)
        if found.state is not ContainerState.RUNNING:
            raise Refused(400, f'container "{container}" in pod "{pod}" is not running')
        return found

    async def _container(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> Container:
        labels = {_POD_NAMESPACE: namespace, _POD_NAME: pod, _CONTAINER: container}
        found = [
            candidate
            for candidate in await self._runtime.list_containers()
            if all(candidate.labels.get(name) == value for name, value in labels.items())
        ]
        newest = sorted(found, key=lambda candidate: (candidate.created_at, candidate.id), reverse=True)
        if not newest:
            raise Refused(400, f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating')
        if not previous:
            return newest[0]
        if len(newest) < 2:
            raise Refused(400, f'previous terminated container "{container}" in pod "{pod}" not found')
        return newest[1]


def _streams(query: Mapping[str, str]) -> dict[str, bool]:
    """Exec's query (`input`, `output`, …) or the API's own (`stdin`, `stdout`, …) as the runtime's arguments."""

    def asked(*names: str) -> bool:
        return any(query.get(name) in ("1", "true") for name in names)

    tty = asked("tty")
    return {
        "tty": tty,
        "stdin": asked("input", "stdin"),
        "stdout": asked("output", "stdout"),
        "stderr": asked("error", "stderr") and not tty,
    }


_CONTAINER_PATH = ("namespace", "pod", "container")
_ROUTES: dict[str, tuple[Callable[..., Awaitable[web.StreamResponse]], tuple[str, ...]]] = {
    "pods": (KubeletServer._list_pods, ()),
    "containerLogs": (KubeletServer._logs, _CONTAINER_PATH),
    "exec": (KubeletServer._exec, _CONTAINER_PATH),
    "attach": (KubeletServer._attach, _CONTAINER_PATH),
    "portForward": (KubeletServer._port_forward, ("namespace", "pod")),
}
_SUBRESOURCES = {"pods": "pods"}
