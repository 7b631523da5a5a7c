"""How the server calls webhooks: by URL or service, over TLS it can trust, with a bound on time, size and connections.

A service is reached at a ready endpoint of it, or else at its cluster address; its certificate has to name
`<service>.<namespace>.svc` (KEP-1027). Connections are kept and shared by all webhooks.
Source: apiserver pkg/util/webhook/client.go.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import ssl
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from pylet.aio import certificate
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.client import counters
from pylet.client.view import Table
from pylet.server.namesakes import Namesakes
from pylet.server.services import Services, Unresolved
from pylet.server.unreached import said

if TYPE_CHECKING:
    import aiohttp

_ANSWER_BYTES = 64 << 20
_CONNECTIONS = 64
_CONNECT_SECONDS = 10


class WebhookFailed(Exception):
    """No usable answer came; the message is upstream's as far as Go's can be told."""


class WebhookClient:
    """`tables` are the server's own, to resolve services; `connector` makes one that finds the way to pods. `close` it
    at the end."""

    def __init__(self, tables: Callable[[Kind], Table], connector: Callable[..., aiohttp.BaseConnector]) -> None:
        self._services = Services(tables)
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None
        self._namesakes = Namesakes()

    async def call(self, config: Object, body: Object, *, timeout_seconds: float) -> Any:
        """The decoded JSON that the webhook of a `clientConfig` answers. Raises: WebhookFailed."""
        import aiohttp

        url, target, name = self._target(config)
        shown = f"{url}?timeout={timeout_seconds:g}s"
        began, host, sent = time.perf_counter(), url.split("/")[2], orjson.dumps(body)
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        if name:
            headers["Host"] = host
        try:
            bundle = config.get("caBundle") or ""
            post = partial(
                self._open().post,
                f"{target}?timeout={timeout_seconds:g}s",
                data=sent,
                headers=headers,
                server_hostname=name or None,
                timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=_CONNECT_SECONDS),
                allow_redirects=False,
            )
            async with await self._namesakes.met(bundle, trusting(bundle), lambda tls: post(ssl=tls)) as response:
                raw = await _bounded(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            counters.failed("POST", host)
            raise WebhookFailed(f'Post "{shown}": {said(failed)}') from failed
        counters.answered("POST", host, response.status, time.perf_counter() - began, len(sent), len(raw))
        if not 200 <= response.status < 300:
            raise WebhookFailed(_refused(response.status, raw))
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as bad:
            raise WebhookFailed(f"the webhook's answer is not JSON: {bad}") from bad

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            connector = self._connector(limit=_CONNECTIONS, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        return self._session

    def _target(self, config: Object) -> tuple[str, str, str]:
        """The URL as it is told, the URL to connect to, and the name its certificate has to bear ("": the URL's)."""
        service = config.get("service")
        if service is None:
            url = urlsplit(config["url"])._replace(path=_joined(urlsplit(config["url"]).path)).geturl()
            return url, url, ""
        name, namespace, port = service["name"], service["namespace"], service.get("port") or 443
        path = _joined(service.get("path") or "")
        host = f"{name}.{namespace}.svc"
        try:
            address = self._services.address(Key(namespace, name), port)
        except Unresolved as nobody:
            raise WebhookFailed(str(nobody)) from nobody
        return f"https://{host}:{port}{path}", f"https://{address}{path}", host


def _joined(path: str) -> str:
    """As Go's path.Join makes it: one slash where there are several, none at the end."""
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


@lru_cache(64)
def trusting(bundle: str) -> ssl.SSLContext:
    """Trusts the CAs of a base64 caBundle, or the system's when there is none. Raises: ssl.SSLError."""
    try:
        return certificate.trusting(base64.b64decode(bundle).decode())
    except (binascii.Error, UnicodeDecodeError) as bad:
        raise ssl.SSLError("unable to load root certificates: unable to parse bytes as PEM block") from bad


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > _ANSWER_BYTES:
            raise WebhookFailed(f"the webhook's answer is larger than {_ANSWER_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _refused(status: int, raw: bytes) -> str:
    """What client-go makes of an answer that is no success."""
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError:
        told = None
    if isinstance(told, dict) and told.get("kind") == "Status" and told.get("message"):
        return str(told["message"])
    if status == 404:
        return "the server could not find the requested resource"
    if status >= 500:
        text = raw[:2048].decode(errors="replace").strip()
        return f'an error on the server ("{text}") has prevented the request from succeeding'
    return f"the server responded with the status code {status} but did not return more information"
