"""What a kubelet serves on :10250: logs, exec, attach and port-forward of its containers, its pods and its health.

Who asks is proved by a certificate of the cluster's CA or a bearer token; whether they may is the API server's answer
to a SubjectAccessReview on `nodes/<subresource>`, as upstream's webhook authorizer asks it. Streams are joined with the
runtime's own streaming server byte by byte, but for those that it does not speak (`translating`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.access import Access, Denied
from pylet.agent.kubelet.cadvisor import cadvisor_metrics
from pylet.agent.kubelet.commands import Commands
from pylet.agent.kubelet.labels import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID
from pylet.agent.kubelet.logchoice import NoLog, logged_container
from pylet.agent.kubelet.logs import BadLogOptions, LogOptions, read
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.own_metrics import kubelet_metrics, probe_metrics
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.reach import Reach, Refused
from pylet.agent.kubelet.resource_metrics import resource_metrics
from pylet.agent.kubelet.spec import find_container
from pylet.agent.kubelet.summary import Rates, cpu_and_memory, summary
from pylet.agent.kubelet.system_logs import system_log
from pylet.agent.kubelet.workplace import Node
from pylet.aio import process
from pylet.aio.splice import splice
from pylet.api.errors import NotAcceptable
from pylet.api.object import Object
from pylet.client import counters as asked
from pylet.cri.interface import CriError, NotFound
from pylet.cri.messages import ContainerState

if TYPE_CHECKING:
    from pylet.agent.kubelet.log_query import LogQuery
    from pylet.api.zpages import Page

log = logging.getLogger(__name__)

_HANDSHAKE_SECONDS = 15.0
_HEAD_BYTES = 1 << 20  # as the API server's: a command to run may be long
_SYSTEM_LOGS = Path("/var/log")
_STREAM_HEADERS = frozenset({"connection", "upgrade", "x-stream-protocol-version"})


@dataclass(frozen=True, slots=True)
class Facts:
    """Found out for who asks."""

    volumes: Callable[[], Mapping[tuple[str, str], int]]
    """How many there are by plugin and state."""
    configuration: Callable[[], Object]
    """What the kubelet runs with."""
    lifetimes: Callable[[], Mapping[str, float]]
    """How many seconds each of its certificates is good for."""
    flags: Callable[[], Mapping[str, str]]
    """What it was started with."""


class KubeletServer:
    """Serves until cancelled."""

    def __init__(self, node: Node, pods: Pods, access: Access, meter: Meter, facts: Facts) -> None:
        self._node = node
        self._pods = pods
        self._access = access
        self._meter = meter
        self._facts = facts
        self._reach = Reach(node.runtime, node.pods)
        self._commands = Commands(self._reach, node.settings.root / "checkpoints")
        self._rates = Rates()
        self._under_way: Counter[tuple[str, ...]] = Counter()
        self._server = web.Server(self._answer, access_log=None, max_line_size=_HEAD_BYTES, max_field_size=_HEAD_BYTES)

    async def run(self, address: str | None, port: int, tls: ssl.SSLContext) -> None:
        """Raises: OSError when the address cannot be listened on."""
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(self._server, address, port, ssl=tls, reuse_address=True)
        try:
            await asyncio.Event().wait()
        finally:
            listening.close()
            await self._server.shutdown(1.0)

    async def take(self, connection: socket.socket, tls: ssl.SSLContext) -> None:
        """Serve a connection that came by another way. Raises: OSError."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._server, connection, ssl=tls, ssl_handshake_timeout=_HANDSHAKE_SECONDS)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            name, *arguments = [part for part in request.path.split("/") if part] or [""]
            await self._access.check(request, *_SUBRESOURCES.get(name, ("proxy",)))
            route, counts = _ROUTES.get(name, (None, ()))
            if route is None or len(arguments) not in counts:
                raise Refused(404, "404 page not found")
            return await self._counted(name, request, route(self, request, *arguments))
        except Refused as refused:
            return web.Response(status=refused.code, text=str(refused))
        except Denied as denied:
            return web.Response(status=denied.code, text=str(denied))
        except NotFound as gone:
            return web.Response(status=404, text=str(gone))
        except NotAcceptable as bad:
            return web.Response(status=bad.code, body=orjson.dumps(bad.status()), content_type="application/json")
        except CriError as failed:
            log.warning("%s %s: %s", request.method, request.path, failed)
            return web.Response(status=500, text=str(failed))

    async def _counted(
        self, name: str, request: web.BaseRequest, answer: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        labels = request.method, name, "readwrite", str(name in _LASTING).lower()
        counters.REQUESTS.add(*labels)
        begin = self._node.clock.monotonic()
        self._under_way[labels] += 1
        try:
            return await answer
        finally:
            self._under_way[labels] -= 1
            counters.REQUEST_SECONDS.observe(self._node.clock.monotonic() - begin, *labels)

    async def _healthz(self, request: web.BaseRequest, check: str = "") -> web.StreamResponse:
        return web.Response(text="ok")

    async def _system_logs(self, request: web.BaseRequest, *names: str) -> web.StreamResponse:
        """Of /var/log, as pages of links and as files; and what services write to the journal."""
        path, configuration = "/".join(names), self._facts.configuration()
        if not configuration["enableSystemLogHandler"]:
            raise Refused(405, "logs endpoint is disabled.")
        if configuration["enableSystemLogQuery"]:
            from pylet.agent.kubelet.log_query import BadQuery, parse

            try:
                query = parse([*request.query.items()])
            except BadQuery as bad:
                raise Refused(bad.code, str(bad)) from bad
            if query.services:
                return await self._service_logs(request, query)
            path = (*query.files, path)[0].replace("\\", "/").lstrip("/")
        try:
            return await asyncio.to_thread(system_log, _SYSTEM_LOGS, path)
        except FileNotFoundError as gone:
            raise Refused(404, "404 page not found") from gone
        except OSError as failed:
            raise Refused(403, f"403 {failed.strerror}") from failed

    async def _service_logs(self, request: web.BaseRequest, query: LogQuery) -> web.StreamResponse:
        from pylet.agent.kubelet.service_logs import tell

        answer = web.StreamResponse(headers={"Content-Type": "text/plain;charset=UTF-8"})
        answer.enable_chunked_encoding()
        if request.headers.get("Accept-Encoding") == "gzip":
            answer.enable_compression(web.ContentCoding.gzip)
        await answer.prepare(request)
        await tell(query, _SYSTEM_LOGS, answer.write)
        return answer

    async def _configz(self, request: web.BaseRequest) -> web.StreamResponse:
        found = {"kubeletconfig": self._facts.configuration()}
        return web.Response(body=orjson.dumps(found), content_type="application/json")

    async def _statusz(self, request: web.BaseRequest) -> web.StreamResponse:
        from pylet.api.zpages import statusz

        started, accept = datetime.fromtimestamp(process.started(), UTC), request.headers.get("Accept", "")
        return _page(statusz("kubelet", _STATUSZ_PATHS, accept, started, self._node.clock.now()))

    async def _flagz(self, request: web.BaseRequest) -> web.StreamResponse:
        from pylet.api.zpages import flagz

        return _page(flagz("kubelet", request.headers.get("Accept", ""), self._facts.flags()))

    async def _stats(self, request: web.BaseRequest, kind: str) -> web.StreamResponse:
        if kind != "summary":
            raise Refused(404, "404 page not found")
        is_whole = request.query.get("only_cpu_and_memory") not in ("1", "true")
        found = summary(await self._meter.read(with_disks=is_whole), self._rates)
        if not is_whole:
            found = cpu_and_memory(found)
        return web.Response(body=orjson.dumps(found), content_type="application/json")

    async def _metrics(self, request: web.BaseRequest, which: str = "") -> web.StreamResponse:
        if which == "probes":
            text = probe_metrics(self._pods.probes_asked())
        elif not which:
            claims = await self._meter.claims()
            doing = replace(
                self._pods.doing(),
                claims=claims,
                volumes=self._facts.volumes(),
                lifetimes=self._facts.lifetimes(),
                requests=self._under_way,
            )
            text = kubelet_metrics(await self._meter.read(), doing)
            text += "".join(f"{line}\n" for line in (*asked.lines(), *process.lines()))
        elif which in _METRICS:
            text = _METRICS[which](await self._meter.read(with_counts=which == "cadvisor"))
        else:
            raise Refused(404, "404 page not found")
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _running_pods(self, request: web.BaseRequest) -> web.StreamResponse:
        """What the runtime runs, whatever the API knows of it."""
        found: dict[str, Object] = {}
        for container in await self._node.runtime.list_containers():
            names = container.labels
            if container.state is not ContainerState.RUNNING or POD_UID not in names:
                continue
            meta = {"name": names[POD_NAME], "namespace": names[POD_NAMESPACE], "uid": names[POD_UID]}
            pod = found.setdefault(meta["uid"], {"metadata": meta, "spec": {"containers": []}, "status": {}})
            pod["spec"]["containers"].append({"name": names[CONTAINER_NAME], "image": container.image.image})
        listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [*found.values()]}
        return web.Response(body=orjson.dumps(listed), content_type="application/json")

    async def _list_pods(self, request: web.BaseRequest) -> web.StreamResponse:
        listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._node.pods()}
        return web.Response(body=orjson.dumps(listed), content_type="application/json")

    async def _logs(self, request: web.BaseRequest, namespace: str, pod: str, container: str) -> web.StreamResponse:
        try:
            options = LogOptions.of(request.query, self._node.clock.now())
        except BadLogOptions as bad:
            raise Refused(400, str(bad)) from bad
        whole = self._reach.pod(namespace, pod, f'pod "{pod}" does not exist')
        if find_container(whole, container) is None:
            raise Refused(404, f'container "{container}" not found in pod "{pod}"')
        try:
            id_ = logged_container(whole, container, previous=options.previous)
        except NoLog as none:
            raise Refused(400, str(none)) from none
        status = await self._node.runtime.container_status(id_)
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        try:
            async for piece in read(Path(status.log_path), options, self._grows(id_, request)):
                await answer.write(piece)
        except ConnectionResetError:
            log.debug("a reader of the log %s has left", status.log_path)
        except OSError:
            await answer.write(f"unable to retrieve container logs for {status.log_path}\n".encode())
        return answer

    def _grows(self, container_id: str, request: web.BaseRequest) -> Callable[[], Awaitable[bool]]:
        async def grows() -> bool:
            """Whether there may be more to read, and somebody who reads it."""
            if request.transport is None:
                return False
            try:
                return (await self._node.runtime.container_status(container_id)).state is ContainerState.RUNNING
            except CriError:
                return False

        return grows

    async def _exec(self, request: web.BaseRequest, namespace: str, pod: str, *rest: str) -> web.StreamResponse:
        found = await self._reach.inside(namespace, pod, *rest)
        streams = _streams(request.query)
        command = request.query.getall("command", [])
        if not command:
            raise Refused(400, "you must specify at least one command for the container")
        return await self._join(request, await self._node.runtime.exec(found.id, command, **streams), streams)

    async def _attach(self, request: web.BaseRequest, namespace: str, pod: str, *rest: str) -> web.StreamResponse:
        *uids, container = rest
        found = await self._reach.container(namespace, pod, container, *uids)
        if found is None:
            raise Refused(500, f"container {container} not found in pod {pod}_{namespace}")
        streams = _streams(request.query)
        return await self._join(request, await self._node.runtime.attach(found.id, **streams), streams)

    async def _port_forward(
        self, request: web.BaseRequest, namespace: str, pod: str, uid: str = ""
    ) -> web.StreamResponse:
        sandbox = await self._reach.sandbox(namespace, pod, uid)
        ports = [int(port) for port in request.query.getall("port", []) + request.query.getall("ports", [])]
        return await self._join(request, await self._node.runtime.port_forward(sandbox, ports), {})

    async def _join(self, request: web.BaseRequest, url: str, streams: Mapping[str, bool]) -> web.StreamResponse:
        """Pass the Upgrade and all that follows to the runtime's streaming server; `streams` are a command's."""
        if (upgrade := request.headers.get("Upgrade")) is None:
            raise Refused(400, "Upgrade request required")
        if upgrade.lower() == "websocket":
            from pylet.agent.kubelet.translating import translate

            if (answer := await translate(request, url, streams)) is not None:
                return answer
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

    async def _run(self, request: web.BaseRequest, namespace: str, pod: str, *rest: str) -> web.StreamResponse:
        _insist_on_post(request)
        said = await self._commands.run(namespace, pod, *rest, said=request.query.get("cmd", ""))
        return web.Response(body=said, content_type="application/json")

    async def _checkpoint(
        self, request: web.BaseRequest, namespace: str, pod: str, container: str
    ) -> web.StreamResponse:
        _insist_on_post(request)
        seconds = request.query.getall("timeout", ["0"])[-1]
        made = await self._commands.checkpoint(namespace, pod, container, seconds, self._node.clock.now())
        return web.Response(body=orjson.dumps({"items": [str(made)]}), content_type="application/json")

    async def _debug(self, request: web.BaseRequest, what: str, *_: str) -> web.StreamResponse:
        if what not in _DISABLED:
            raise Refused(404, "404 page not found")
        raise Refused(405, f"{_DISABLED[what]} endpoint is disabled.\n")


def _page(page: Page) -> web.Response:
    return web.Response(body=page.body, headers=[("Content-Type", page.type), *page.headers])


def _insist_on_post(request: web.BaseRequest) -> None:
    if request.method != "POST":
        raise Refused(405, "405: Method Not Allowed")


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


_ROUTES: dict[str, tuple[Callable[..., Awaitable[web.StreamResponse]], Sequence[int]]] = {
    "healthz": (KubeletServer._healthz, (0, 1)),
    "configz": (KubeletServer._configz, (0,)),
    "statusz": (KubeletServer._statusz, (0,)),
    "flagz": (KubeletServer._flagz, (0,)),
    "stats": (KubeletServer._stats, (1,)),
    "metrics": (KubeletServer._metrics, (0, 1)),
    "pods": (KubeletServer._list_pods, (0,)),
    "runningpods": (KubeletServer._running_pods, (0,)),
    "logs": (KubeletServer._system_logs, range(32)),
    "containerLogs": (KubeletServer._logs, (3,)),
    "checkpoint": (KubeletServer._checkpoint, (3,)),
    "debug": (KubeletServer._debug, range(1, 32)),
    "run": (KubeletServer._run, (3, 4)),
    "exec": (KubeletServer._exec, (3, 4)),
    "attach": (KubeletServer._attach, (3, 4)),
    "portForward": (KubeletServer._port_forward, (2, 3)),
}
"""By the first part of the path: what answers, and how many more parts there may be."""
_DISABLED = {"pprof": "profiling", "flags": "flags"}
_LASTING = ("exec", "attach", "portForward")
_STATUSZ_PATHS = ("/configz", "/debug", "/flagz", "/healthz", "/metrics")
"""What upstream lists there: not all that it serves."""
_METRICS = {"resource": resource_metrics, "cadvisor": cadvisor_metrics}
_SUBRESOURCES = {
    "pods": ("pods", "proxy"),
    "runningpods": ("pods", "proxy"),
    "healthz": ("healthz", "proxy"),
    "configz": ("configz", "proxy"),
    "flagz": ("configz",),
    "statusz": ("statusz",),
    "stats": ("stats",),
    "metrics": ("metrics",),
    "logs": ("log",),
    "checkpoint": ("checkpoint",),
}
"""What the asker must be allowed on this node, any of them; `proxy` for all else."""
