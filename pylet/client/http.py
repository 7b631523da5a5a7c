"""The Client protocol over HTTPS: what agents use to reach a server.

One session keeps its connections: one for each watch, a few for everything else. A connection that dies raises
Unreachable and the caller decides; where there are several servers, what comes next goes to another. Which trust and
which credentials come from `tls`, called anew for each session: a renewed certificate is used without a restart.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from pylet.api import errors
from pylet.api.kind import Kind
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.object import Key, Object, key_of
from pylet.client import counters
from pylet.client.interface import Changed, Changes, Listing, PatchType, Unreachable
from pylet.client.servers import Servers
from pylet.version import VERSION

_REQUEST_SECONDS = 60
_IDLE_SECONDS = 90  # bookmarks come each minute: a watch silent for longer is a dead connection
_WATCH_SECONDS = 3600
_CONNECT_SECONDS = 10
_DEAF_SECONDS = 10  # what was sent and is not even acknowledged for so long was sent to nobody
_KEPT_SECONDS = 15  # what a burst opened closes soon; the lease's renewal keeps one connection
_LEASES = f"/apis/{LEASE.api_version}/"
_AT_A_TIME = 2  # a TLS connection costs a server 3 ms and 300 KiB: as many as there are pods to report is too many


class HttpClient:
    """A Client for the API server at a URL, or one of several.

    `tls` gives the SSL context to connect with; it is asked again after `renewed()`. `token` is sent as a bearer token.
    """

    def __init__(
        self, servers: Servers | str, tls: Callable[[], ssl.SSLContext], *, token: str = "", agent: str = "pylet"
    ) -> None:
        self._servers = Servers(servers) if isinstance(servers, str) else servers
        self._tls = tls
        self._headers = {"User-Agent": f"{agent}/{VERSION}", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._session: aiohttp.ClientSession | None = None
        self._watched: set[aiohttp.ClientResponse] = set()
        self._turn = asyncio.Semaphore(_AT_A_TIME)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.renewed()

    async def renewed(self) -> None:
        """Drop all connections: the next request connects with fresh credentials. Watches end and resume."""
        session, self._session = self._session, None
        for answer in tuple(self._watched):
            answer.close()  # who reads it hears of it; a session that is closed tells nobody
        if session is not None:
            await session.close()

    async def get(self, kind: Kind, key: Key, *, subresource: str = "") -> Object:
        return await self.request("GET", kind.path(*key, subresource))

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        more: str = "",
        revision: str = "",
    ) -> Listing:
        query = _given(
            labelSelector=labels, fieldSelector=fields, limit=limit, resourceVersion=revision, **{"continue": more}
        )
        found = await self.request("GET", kind.path(namespace), query=query)
        meta = found["metadata"]
        return Listing(found.get("items") or [], meta["resourceVersion"], meta.get("continue", ""))

    async def create(self, kind: Kind, obj: Object, *, key: Key | None = None, subresource: str = "") -> Object:
        path = kind.path(obj["metadata"].get("namespace", "")) if key is None else kind.path(*key, subresource)
        return await self.request("POST", path, obj)

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        return await self.request("PUT", kind.path(*key_of(obj), subresource), obj)

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Any,
        *,
        type_: PatchType = PatchType.MERGE,
        subresource: str = "",
        manager: str = "",
        force: bool = False,
    ) -> Object:
        query = _given(fieldManager=manager, force="true" if force else "")
        return await self.request("PATCH", kind.path(*key, subresource), patch, query=query, content_type=type_)

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str = "",
        revision: str = "",
        grace_seconds: int | None = None,
        propagation: str = "",
    ) -> Object:
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if preconditions := _given(uid=uid, resourceVersion=revision):
            options["preconditions"] = preconditions
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        return await self.request("DELETE", kind.path(*key), options)

    async def watch(
        self, kind: Kind, namespace: str = "", *, since: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Changes]:
        query = _given(
            watch="1",
            resourceVersion=since,
            allowWatchBookmarks="true",
            timeoutSeconds=_WATCH_SECONDS,
            labelSelector=labels,
            fieldSelector=fields,
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds, sock_read=_IDLE_SECONDS)
        url = self._servers.current
        try:
            async with self._http().get(url + kind.path(namespace), params=query, timeout=timeout) as answer:
                if answer.status != 200:
                    raise _refusal(answer.status, await answer.read())
                rest = b""
                self._watched.add(answer)
                try:
                    async for chunk in answer.content.iter_any():
                        *lines, rest = (rest + chunk).split(b"\n")
                        if lines:
                            yield [_change(line) for line in lines]
                finally:
                    self._watched.discard(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as lost:
            await self._lost(url)
            raise Unreachable(f"watch {kind.plural} at {url}: {_why(lost)}") from lost

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One exchange of JSON. Raises: ApiError as the server's Status says, Unreachable."""
        data = None if body is None else orjson.dumps(body)
        headers = {} if data is None else {"Content-Type": str(content_type)}
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS, sock_connect=self._connect_seconds)
        # A sign of life waits for no report of pods; upstream's kubelet has a client of its own for it.
        async with nullcontext() if path.startswith(_LEASES) else self._turn:
            url, begin = self._servers.current, time.monotonic()
            host = url.partition("//")[2]
            try:
                async with self._http().request(
                    method, url + path, data=data, headers=headers, params=query, timeout=timeout
                ) as answer:
                    found = await answer.read()
            except (aiohttp.ClientError, OSError, TimeoutError) as lost:
                counters.failed(method, host)
                await self._lost(url)
                raise Unreachable(f"{method} {path} at {url}: {_why(lost)}") from lost
        counters.answered(method, host, answer.status, time.monotonic() - begin, len(data or b""), len(found))
        if answer.status >= 400:
            raise _refusal(answer.status, found)
        answered: Object = orjson.loads(found)
        return answered

    @property
    def _connect_seconds(self) -> float:
        """All servers together are tried for as long as a single one."""
        return max(2, _CONNECT_SECONDS / len(self._servers.urls))

    async def _lost(self, url: str) -> None:
        if self._servers.gave_up(url):
            await self.renewed()  # also what waits there and has not noticed

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls(), limit=0, keepalive_timeout=_KEPT_SECONDS, socket_factory=_impatient
                ),
                headers=self._headers,
                read_bufsize=1 << 18,
            )
        return self._session


def _impatient(address: Any) -> socket.socket:
    """The socket to connect to an address with."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAF_SECONDS * 1000)
    return made


def _given(**options: str | int) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value}


def _refusal(code: int, body: bytes) -> errors.ApiError:
    try:
        return errors.from_status(orjson.loads(body))
    except orjson.JSONDecodeError:
        return errors.RemoteError({"code": code, "message": body[:500].decode(errors="replace")})


def _change(line: bytes) -> Changed:
    event = orjson.loads(line)
    if event["type"] == "ERROR":
        raise errors.from_status(event["object"])
    return Changed(event["type"], event["object"])


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
