"""Logs, exec, attach and port-forward: what the API server passes on to the kubelet of the pod's node.

Logs are copied with back-pressure, as WebSocket messages to who asks for those. Any other Upgrade and all that follows
is passed through byte by byte, so that WebSocket and SPDY/3.1 are the kubelet's business alone.
Sources: pkg/registry/core/pod/strategy.go (LogLocation, streamLocation).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from pylet.aio.prometheus import Counter
from pylet.aio.splice import splice
from pylet.api.errors import ApiError, BadRequest, InternalError, MethodNotAllowed, NotFound, ServiceUnavailable
from pylet.api.ip import in_url
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object
from pylet.server.http.answer import TEXT, Answer, Stream, Streamed
from pylet.server.http.options import flag
from pylet.server.http.protocols import headers_passed_on, is_websocket
from pylet.server.http.relaying import relay
from pylet.server.http.request_info import RequestInfo
from pylet.server.http.tunnels import Tunnels
from pylet.server.http.websocket import Messages
from pylet.server.registry import Registry

_LOG_OPTIONS = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream")
_PASSED = ("connection", "upgrade", "x-stream-protocol-version")
_STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}

Query = Any
"""A multidict: `command` comes several times."""


class KubeletProxy:
    """`tls` is the context to reach kubelets with; `blind` makes one for who does not mind who answers."""

    def __init__(
        self, registry: Registry, tunnels: Tunnels, tls: ssl.SSLContext, blind: Callable[[], ssl.SSLContext]
    ) -> None:
        self.tls = tls
        self._blind = blind
        self._logs = Counter(
            "kube_apiserver_pod_logs_insecure_backend_total",
            "Logs, by whether nodes had to prove who they are.",
            ("usage",),
        )
        self._tunnels = tunnels
        self._registry = registry
        self._session: aiohttp.ClientSession | None = None

    def metrics(self) -> Iterator[str]:
        return self._logs.lines()

    def serves(self, info: RequestInfo) -> bool:
        subresource = (info.resource, info.subresource)
        return not info.group and not info.rest and subresource in _ROUTES

    async def serve(self, http: web.BaseRequest, info: RequestInfo) -> Answer | Streamed:
        """Raises: ApiError."""
        if http.method != "GET" and (http.method != "POST" or info.subresource == "log"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})
        answer: Answer | Streamed = await _ROUTES[info.resource, info.subresource](self, http, info)
        return answer

    async def read(self, node: str, path: str) -> bytes:
        """What the node's kubelet answers this server itself. Raises: ApiError."""
        host, port = self._tunnels.kubelet(node)
        try:
            async with self._opened().get(f"https://{in_url(host)}:{port}/{path}") as found:
                body = await found.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            raise _unreachable(node, path, failed) from failed
        if found.status != 200:
            raise _refusal(found.status, body.decode(errors="replace"))
        return body

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = self._tunnels.connector(ssl=self.tls, limit=0, keepalive_timeout=30)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _log(self, http: web.BaseRequest, info: RequestInfo) -> Answer | Streamed:
        pod = self._pod(info)
        container = _container(pod, http.query.get("container", ""))
        if not pod["spec"].get("nodeName"):
            return Answer(b"", 204, TEXT)  # nothing runs yet, so nothing has been logged
        options = {name: http.query[name] for name in _LOG_OPTIONS if name in http.query}
        skips = flag(http.query, "insecureSkipTLSVerifyBackend")
        self._logs.add("skip_tls_allowed" if skips else "enforce_tls")
        tls = self._blind() if skips else self.tls
        path = f"containerLogs/{_place(info)}/{container}"
        return await self._copied(http, pod["spec"]["nodeName"], path, options, tls)

    async def _exec(self, http: web.BaseRequest, info: RequestInfo) -> Streamed:
        return await self._streamed(http, info, "exec")

    async def _attach(self, http: web.BaseRequest, info: RequestInfo) -> Streamed:
        return await self._streamed(http, info, "attach")

    async def _streamed(self, http: web.BaseRequest, info: RequestInfo, what: str) -> Streamed:
        pod = self._pod(info)
        container = _container(pod, http.query.get("container", ""))
        return await self._joined(http, _host(pod), f"{what}/{_place(info)}/{container}", _stream_query(http.query))

    async def _port_forward(self, http: web.BaseRequest, info: RequestInfo) -> Streamed:
        query = [("port", port) for port in http.query.getall("ports", [])]
        return await self._joined(http, _host(self._pod(info)), f"portForward/{_place(info)}", query)

    async def _copied(
        self, http: web.BaseRequest, node: str, path: str, query: Mapping[str, str], tls: ssl.SSLContext
    ) -> Answer | Streamed:
        host, port = self._kubelet(node)
        try:
            async with self._opened().get(f"https://{in_url(host)}:{port}/{path}", params=query, ssl=tls) as found:
                if found.status >= 400:
                    raise _refusal(found.status, (await found.read()).decode(errors="replace"))
                return await relay(http, found, _opened(http, found.headers.get("Content-Type", TEXT)))
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            raise _unreachable(node, path, failed) from failed

    async def _joined(self, http: web.BaseRequest, node: str, path: str, query: list[tuple[str, str]]) -> Streamed:
        host, port = self._kubelet(node)
        if http.headers.get("Upgrade") is None:
            raise BadRequest("Upgrade request required")
        near = http.transport
        if near is None:
            raise ConnectionResetError
        lines = [f"{http.method} /{path}?{urlencode(query)} HTTP/1.1", f"Host: {in_url(host)}:{port}"]
        lines += [f"{name}: {value}" for name, value in headers_passed_on(http) if _is_passed(name.lower())]
        head = "\r\n".join(lines) + "\r\n\r\n"
        try:
            await splice(
                near, host, port, head.encode(), tls=self.tls, server_hostname=host, connect=self._tunnels.connect
            )
        except OSError as failed:
            raise _unreachable(node, path, failed) from failed
        http.protocol.connection_lost(None)
        return Streamed(keep_alive=False)

    def _kubelet(self, node: str) -> tuple[str, int]:
        """Of the node that a pod is on. Raises: ApiError, which calls a node that is not there a pod, as upstream's."""
        try:
            return self._tunnels.kubelet(node)
        except NotFound as gone:
            raise NotFound("", "pods", node) from gone

    def _pod(self, info: RequestInfo) -> Object:
        entry = self._registry.table(POD).entries.get(Key(info.namespace, info.name))
        if entry is None:
            raise NotFound("", "pods", info.name)
        return entry.object


_ROUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("pods", "log"): KubeletProxy._log,
    ("pods", "exec"): KubeletProxy._exec,
    ("pods", "attach"): KubeletProxy._attach,
    ("pods", "portforward"): KubeletProxy._port_forward,
}


def _opened(http: web.BaseRequest, type_: str) -> Stream | Messages:
    return Messages(http) if is_websocket(http) else Stream(http, type_=type_)


def _place(info: RequestInfo) -> str:
    return f"{info.namespace}/{info.name}"


def _host(pod: Object) -> str:
    node: str = pod["spec"].get("nodeName") or ""
    if not node:
        raise BadRequest(f"pod {pod['metadata']['name']} does not have a host assigned")
    return node


def _container(pod: Object, asked: str) -> str:
    """The container meant, which only a pod of one container may leave open."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    groups = {group: [c["name"] for c in spec.get(group) or ()] for group in ("containers", "initContainers")}
    ephemeral = [c["name"] for c in spec.get("ephemeralContainers") or ()]
    if asked:
        if asked not in (*groups["containers"], *groups["initContainers"], *ephemeral):
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(groups["containers"]) == 1:
        only: str = groups["containers"][0]
        return only
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(groups['containers'])}]"
    if groups["initContainers"]:
        message += f" or one of the init containers: [{' '.join(groups['initContainers'])}]"
    if ephemeral:
        message += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise BadRequest(message)


def _stream_query(query: Query) -> list[tuple[str, str]]:
    """The API's stream options in the kubelet's words."""
    found = [("command", word) for word in query.getall("command", [])]
    for name, said in _STREAMS.items():
        if query.get(name) in ("1", "true"):
            found.append((said, "1"))
    return found


def _is_passed(header: str) -> bool:
    return header in _PASSED or header.startswith("sec-websocket-")


def _refusal(code: int, text: str) -> ApiError:
    match code:
        case 400:
            return BadRequest(text)
        case 404:
            error: ApiError = NotFound("", "", "")
            error.message, error.details = text, {}
            return error
        case _:
            return InternalError(f"the kubelet answered {code}: {text}")


def _unreachable(node: str, path: str, failed: BaseException) -> ApiError:
    return ServiceUnavailable(f"cannot reach the kubelet of node {node} for {path.partition('/')[0]}: {failed}")
