"""Pass a request on to another server and its answer back, bodies in pieces both ways, redirects not followed.

An Upgrade and all that follows goes through byte by byte. Who asked is the API server's to know: credentials stay here.
Source: apimachinery pkg/util/proxy/upgradeaware.go.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from pylet.aio.apart import apart
from pylet.aio.splice import splice
from pylet.api.errors import ApiError, ServiceUnavailable
from pylet.server.http.answer import TEXT, Answer, Stream, Streamed
from pylet.server.http.protocols import headers_passed_on
from pylet.server.http.relaying import relay
from pylet.server.unreached import refused, said

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from pylet.server.http.links import Links
    from pylet.server.http.tunnels import Tunnels

_HOP_BY_HOP = {
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_OURS = ("impersonate-", "x-remote-", "access-control-allow-")
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "DELETE")
_HELD_BYTES = 16 << 20  # of HTML, whose links are rewritten, and of what the server itself asked for
_CONNECT_SECONDS = 10
_NO_REDIRECT = b"the backend attempted to redirect this request, which is not permitted"


class _Undialed(ApiError):
    """What upstream returns as a plain Go error."""

    code, reason = 500, ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: `url` is all but the query, `name` what the certificate must say if not the URL's host.

    With `links` it is proxied for whom it looks as if it were served here: it is asked by the name the client uses.
    """

    url: str
    tls: ssl.SSLContext | None = None
    name: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    links: Links | None = None


class Forwarder:
    """Connections are kept. `close` it at the end."""

    def __init__(self, tunnels: Tunnels) -> None:
        self._tunnels = tunnels
        self._session: aiohttp.ClientSession | None = None

    async def forward(self, http: web.BaseRequest, target: Target) -> Answer | Streamed:
        """Raises: ApiError when nobody answers there."""
        if "upgrade" in http.headers.get("Connection", "").lower():
            return await self._join(http, target)
        import aiohttp

        headers = _passed(http, target)
        if target.links is not None:
            headers["Accept-Encoding"] = "identity"
        has_body = http.can_read_body or http.method not in _WITHOUT_BODY
        query = http.rel_url.raw_query_string
        try:
            async with self._open().request(
                http.method,
                _encoded(f"{target.url}?{query}" if query else target.url),
                headers=headers,
                data=http.content if has_body else None,
                ssl=target.tls if target.tls is not None else True,
                server_hostname=target.name,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            ) as found:
                return await _answered(http, found, target)
        except ConnectionResetError:
            raise  # the client's
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            raise ServiceUnavailable(f"error trying to reach service: {said(failed)}") from failed

    async def fetch(self, target: Target, *, seconds: float) -> tuple[int, bytes]:
        """Status and body of what the API server itself asks for. Raises: ServiceUnavailable."""
        import aiohttp

        try:
            async with self._open().get(
                target.url,
                headers=(*target.headers, ("Accept-Encoding", "identity")),
                ssl=target.tls if target.tls is not None else True,
                server_hostname=target.name,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as found:
                return found.status, await _held(found)
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            raise ServiceUnavailable(f'Get "{target.url}": {said(failed)}') from failed

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            connector = self._tunnels.connector(limit=0, keepalive_timeout=30)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def _join(self, http: web.BaseRequest, target: Target) -> Streamed:
        near = http.transport
        if near is None:
            raise ConnectionResetError
        parts = urlsplit(target.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        query = http.rel_url.raw_query_string
        headers = _passed(http, target)
        headers.pop("X-Forwarded-Uri", None)
        headers.update({"Connection": "Upgrade", "Upgrade": http.headers.get("Upgrade", "")})
        headers.setdefault("Host", parts.netloc)
        lines = [f"{http.method} {parts.path or '/'}{'?' + query if query else ''} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        tls = target.tls if parts.scheme == "https" else None
        try:
            await splice(
                near,
                host,
                port,
                ("\r\n".join(lines) + "\r\n\r\n").encode(),
                tls=tls,
                server_hostname=(target.name or host) if tls is not None else None,
                connect=self._tunnels.connect,
            )
        except OSError as failed:
            raise _Undialed(f"error dialing backend: {refused(host, port, failed)}") from failed
        http.protocol.connection_lost(None)
        return Streamed(keep_alive=False)


def _named(headers: Mapping[str, str]) -> set[str]:
    """What concerns one connection by its own word."""
    return {name.strip().lower() for name in headers.get("Connection", "").split(",")}


def _passed(http: web.BaseRequest, target: Target) -> CIMultiDict[str]:
    """The client's headers less what concerns its own connection and who it is."""
    kept = {"content-length"} if target.links is None else {"content-length", "host"}
    dropped = (_HOP_BY_HOP - kept) | _named(http.headers) | {"authorization"}
    headers = CIMultiDict(
        (name, value)
        for name, value in headers_passed_on(http)
        if name.lower() not in dropped and not name.lower().startswith(_OURS)
    )
    if http.remote:
        before = http.headers.get("X-Forwarded-For")
        headers["X-Forwarded-For"] = f"{before}, {http.remote}" if before else http.remote
    if target.links is not None:
        headers["X-Forwarded-Uri"] = http.rel_url.raw_path
    headers.extend(target.headers)
    return headers


async def _answered(http: web.BaseRequest, found: aiohttp.ClientResponse, target: Target) -> Answer | Streamed:
    headers = _returned(found, target)
    type_ = found.headers.get("Content-Type", TEXT)
    if target.links is None and 300 <= found.status <= 399 and "Location" in found.headers:
        return Answer(_NO_REDIRECT, 502, TEXT)  # who may redirect the API's clients learns their tokens: CVE-2022-3172
    if found.status in (204, 304):
        return Answer(b"", found.status, type_, headers)
    if http.method == "HEAD":
        return Stream(http, status=found.status, type_=type_, headers=headers, length=found.content_length or 0).end()
    is_page = type_.partition(";")[0].strip() == "text/html" and "Content-Encoding" not in found.headers
    if target.links is not None and is_page and "Location" not in found.headers:
        page = await _held(found)
        if found.content.at_eof():
            page = await apart(len(page), partial(target.links.in_html, page))
            return Answer(page, found.status, type_, headers)
        first: bytes = page
    else:
        first = b""
    stream = Stream(http, status=found.status, type_=type_, headers=headers, length=found.content_length)
    if first:
        await stream.write(first)
    return await relay(http, found, stream)


async def _held(found: aiohttp.ClientResponse) -> bytes:
    """The body, or its beginning if it is long. `read` would answer with the first piece that came."""
    held = bytearray()
    async for piece in found.content.iter_any():
        held += piece
        if len(held) >= _HELD_BYTES:
            break
    return bytes(held)


def _returned(found: aiohttp.ClientResponse, target: Target) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    dropped = _HOP_BY_HOP | _named(found.headers) | {"content-type", "date"}
    for name, value in found.headers.items():
        if name.lower() in dropped or name.lower().startswith(_OURS):
            continue
        if name == "Location" and target.links is not None:
            value = target.links.rewritten(value)
        headers.append((name, value))
    return headers


def _encoded(url: str) -> URL:
    """The URL exactly as it is, nothing in it quoted anew."""
    from yarl import URL

    return URL(url, encoded=True)
