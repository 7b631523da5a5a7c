"""How the server calls webhooks: by URL or service, over TLS it can trust, with a bound on time, size and connections.

A webhook may be behind the server's own API: there it shows itself.
A service is reached at a ready endpoint of it; its certificate has to name `<service>.<namespace>.svc` (KEP-1027).
Connections are kept and shared by all webhooks.
Source: apiserver pkg/util/webhook/{client,authentication}.go, client-go rest/with_retry.go.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import posixpath
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from pylet.aio import certificate
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.client import counters
from pylet.client.kubeconfig import KubeconfigError
from pylet.client.view import Table
from pylet.server import answered
from pylet.server.credentials import NONE, Credentials, Proof
from pylet.server.namesakes import Namesakes
from pylet.server.services import Services, Unresolved
from pylet.server.unreached import said

if TYPE_CHECKING:
    import aiohttp

_ANSWER_BYTES = 64 << 20
_CONNECTIONS = 64
_CONNECT_SECONDS = 10
_ATTEMPTS = 11
_OWN = "kubernetes.default.svc:443"
_PORT = re.compile(r":[0-9]+$")
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, */*",
    "Accept-Encoding": "gzip",
    "User-Agent": "kube-apiserver-admission",
}


class WebhookFailed(Exception):
    """No usable answer came; the message is upstream's as far as Go's can be told."""


class Uncallable(WebhookFailed):
    """Its configuration is of no use."""


class WebhookClient:
    """`tables` are the server's own, to resolve services; `connector` makes one that finds the way to pods. `close` it
    at the end."""

    def __init__(
        self,
        tables: Callable[[Kind], Table],
        connector: Callable[..., aiohttp.BaseConnector],
        own: Callable[[], Proof] = lambda: NONE,
    ) -> None:
        """`own` is what the server shows to itself."""
        self._own = own
        self._services = Services(tables)
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None
        self._namesakes = Namesakes()

    async def call(
        self, config: Object, body: Object, *, timeout_seconds: float, credentials: Credentials | None = None
    ) -> Object:
        """The decoded object that the webhook of a `clientConfig` answers. Raises: WebhookFailed."""
        import aiohttp

        service, url = config.get("service"), _url(config)
        host, query = url.split("/")[2], f"?timeout={math.ceil(timeout_seconds)}s"
        try:
            proof = self._shown(host, credentials)
            bundle = _with_ca(config.get("caBundle") or "", proof.ca)
            trusted = trusting(bundle, proof.pem)
        except (OSError, ValueError, KubeconfigError) as bad:
            raise Uncallable(f"could not get REST client: {bad}") from bad
        try:
            post = partial(
                self._open().post,
                f"{url if service is None else self._resolved(service)}{query}",
                data=orjson.dumps(body),
                headers=[*_HEADERS.items(), *proof.headers, *([] if service is None else [("Host", host)])],
                server_hostname=None if service is None else host.partition(":")[0],
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS),
                allow_redirects=service is None,
            )
            async with asyncio.timeout(timeout_seconds):
                status, type_, raw = await self._asked(
                    host, partial(self._namesakes.met, bundle, trusted, pem=proof.pem), post
                )
        except Unresolved as nobody:
            raise WebhookFailed(f'Post "{url}{query}": {nobody}') from nobody
        except aiohttp.ClientPayloadError as broken:
            counters.failed("POST", host)
            says = "unexpected error when reading response body. Please retry. Original error: unexpected EOF"
            raise WebhookFailed(says) from broken
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            counters.failed("POST", host)
            raise WebhookFailed(f'Post "{url}{query}": {said(failed)}') from failed
        try:
            return answered.obj(status, type_, raw)
        except answered.Refused as refused:
            raise WebhookFailed(str(refused)) from refused

    async def _asked(
        self, host: str, meet: Callable[..., Awaitable[Any]], post: partial[Any]
    ) -> tuple[int, str, bytes]:
        """Status, type and text of what is answered, once it is not to come again later."""
        for _ in range(_ATTEMPTS):
            began = time.perf_counter()
            async with await meet(lambda tls: post(ssl=tls)) as response:
                raw = await _bounded(response)
            size, status = len(post.keywords["data"]), response.status
            counters.answered("POST", host, status, time.perf_counter() - began, size, len(raw))
            wait = answered.wait_seconds(status, response.headers)
            if wait is None:
                break
            await asyncio.sleep(wait)
        return status, response.headers.get("Content-Type", ""), raw

    def _shown(self, host: str, credentials: Credentials | None) -> Proof:
        """Raises: KubeconfigError, OSError."""
        if host == _OWN:
            return self._own()
        return NONE if credentials is None else credentials.of(host if _PORT.search(host) else f"{host}:443")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            connector = self._connector(limit=_CONNECTIONS, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        return self._session

    def _resolved(self, service: Object) -> str:
        """The URL to connect to. Raises: Unresolved."""
        address = self._services.address(Key(service["namespace"], service["name"]), service.get("port") or 443)
        return f"https://{address}{_joined(service.get('path') or '')}"


def _url(config: Object) -> str:
    """The URL as it is told."""
    service = config.get("service")
    if service is None:
        url = urlsplit(config["url"])
        return url._replace(path=_joined(url.path)).geturl()
    host = f"{service['name']}.{service['namespace']}.svc:{service.get('port') or 443}"
    return f"https://{host}{_joined(service.get('path') or '')}"


def _joined(path: str) -> str:
    """As Go's path.Join makes it: one slash where there are several, none at the end."""
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


def _with_ca(bundle: str, ca: bytes) -> str:
    """A base64 caBundle and a CA beside it."""
    return base64.b64encode(base64.b64decode(bundle) + b"\n" + ca).decode() if ca else bundle


@lru_cache(64)
def trusting(bundle: str, pem: bytes = b"") -> ssl.SSLContext:
    """Trusts the CAs of a base64 caBundle, or the system's when there is none; `pem` is what is presented, if
    anything. Raises: ssl.SSLError, OSError."""
    try:
        context = certificate.trusting(base64.b64decode(bundle).decode())
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as bad:
        raise ssl.SSLError(1, "unable to load root certificates: unable to parse bytes as PEM block") from bad
    if pem:
        certificate.present(context, pem)
    return context


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > _ANSWER_BYTES:
            raise WebhookFailed(f"the webhook's answer is larger than {_ANSWER_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)
