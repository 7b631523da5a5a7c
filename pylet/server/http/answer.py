"""How answers reach a connection: whole, as one write of head and body, or as a stream with back-pressure.

Hot path: aiohttp's own Response spends 14 µs of 31 per TLS GET on building headers; these write framed bytes. With
authentication, RBAC and the registry a TLS GET costs 0.08 ms of CPU (bench/apibench.py, 16 clients), a LIST of 1,000
pods 6 ms, a delivery to one of 100 watchers 4 µs in a burst.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from email.utils import formatdate
from http import HTTPStatus

import orjson
from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from pylet.server import audit
from pylet.server.spent import REQUEST_ID
from pylet.server.warned import WARNED

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
Headers = Iterable[tuple[str, str]]
FLOW: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("flow", default=())
"""By which rules of priority and fairness the request being answered was let in: headers of every answer."""

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_DRAIN_BYTES = 64 << 10
LINE_BYTES = 1 << 20  # of a request's first line, or of a header: Go's DefaultMaxHeaderBytes
HEAD_BYTES = LINE_BYTES + (512 << 10)  # and what comes in the same piece as its end
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n431 Request Header Fields Too Large"
)


class Connection(RequestHandler):
    """A client's connection; `lost` is called when it goes away while a stream is being written."""

    __slots__ = ("body", "head_bytes", "lost")

    def connection_made(self, transport: object) -> None:
        self.lost: Callable[[], None] | None = None
        self.head_bytes = 0
        self.body: StreamReader = EMPTY_PAYLOAD  # of the last request whose head was read
        super().connection_made(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """A head is bounded as a whole: the parser only bounds each of its lines."""
        heads, is_of_body = self._request_count, not self.body.is_eof()
        super().data_received(data)
        if heads != self._request_count:
            self.body = self._messages[-1][1]
        if is_of_body or heads != self._request_count:
            self.head_bytes = 0
            return
        self.head_bytes += len(data)
        if self.head_bytes > HEAD_BYTES and not self._upgraded and self.transport is not None:
            self.transport.write(_TOO_LARGE)
            self.force_close()

    def log_exception(self, *args: object, **kw: object) -> None:
        """What a client sends amiss is no failure of this server: anybody could fill its log."""
        self.logger.debug(*args, **kw)  # type: ignore[arg-type]

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self.lost is not None:
            self.lost()


class Listener(web.Server):
    """aiohttp's server with connections that tell when they are lost."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Answer:
    """One whole answer. aiohttp asks of a response no more than what is here."""

    __slots__ = ("body", "headers", "keep_alive", "status", "type")

    def __init__(self, body: bytes, status: int = 200, type_: str = JSON, headers: Headers = ()) -> None:
        self.body = body
        self.status = status
        self.type = type_
        self.headers = headers
        self.keep_alive = True

    @classmethod
    def of(cls, value: object, status: int = 200, headers: Headers = ()) -> Answer:
        return cls(orjson.dumps(value), status, headers=headers)

    @classmethod
    def indented(cls, value: object) -> Answer:
        """As upstream writes what is no object of the API, whatever is asked for."""
        return cls(orjson.dumps(value, option=orjson.OPT_INDENT_2))

    @classmethod
    def text(cls, text: str, status: int = 200) -> Answer:
        return cls(text.encode(), status, TEXT, (("X-Content-Type-Options", "nosniff"),))

    @property
    def size(self) -> int:
        return len(self.body)

    async def prepare(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        self.keep_alive = request.keep_alive
        sent = head(
            self.status, self.type, self.headers, f"Content-Length: {len(self.body)}", close=not self.keep_alive
        )
        has_body = request.method != "HEAD" and self.status not in (204, 304)
        transport.write(sent + self.body if has_body else sent)
        if transport.get_write_buffer_size() > _DRAIN_BYTES:  # of earlier answers, too: who asks on and never reads
            await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """All has been written."""


class Streamed:
    """What a handler returns after it has written its answer itself."""

    __slots__ = ("keep_alive", "size", "status")

    def __init__(self, status: int = 200, *, keep_alive: bool = True, size: int = 0) -> None:
        self.status = status
        self.keep_alive = keep_alive
        self.size = size

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to do."""

    async def write_eof(self, data: bytes = b"") -> None:
        """All has been written."""


class Stream:
    """An answer in chunks. `write` waits while the client is slow; `write_now` does not."""

    def __init__(
        self,
        request: web.BaseRequest,
        *,
        type_: str = JSON,
        headers: Headers = (),
        length: int | None = None,
        status: int = 200,
        first: bytes = b"",
    ) -> None:
        """`first` goes with the head, where the length is known: one record and one packet less."""
        if request.transport is None:
            raise ConnectionResetError
        self.transport = request.transport
        self._request = request
        self._is_chunked = length is None
        self._size = len(first)
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        self.transport.write(head(status, type_, headers, framing, close=not request.keep_alive) + first)
        audit.started(status)

    async def write(self, data: bytes) -> None:
        """Raises: ConnectionResetError when the client has gone."""
        if self.transport.is_closing():
            raise ConnectionResetError
        self.write_now(data)
        await self._request.writer.drain()

    def write_now(self, data: bytes) -> None:
        self._size += len(data)
        self.transport.write(self.framed(data))

    def framed(self, data: bytes) -> bytes:
        return chunk(data) if self._is_chunked else data

    def end(self) -> Streamed:
        if self._is_chunked and not self.transport.is_closing():
            self.transport.write(b"0\r\n\r\n")
        return Streamed(keep_alive=self._request.keep_alive, size=self._size)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(status: int, type_: str, headers: Headers, framing: str, *, close: bool) -> bytes:
    line = _LINES.get(status) or f"HTTP/1.1 {status} status code {status}\r\n"
    text = f"{line}Content-Type: {type_}\r\nDate: {_date()}\r\n{framing}\r\n"
    caching = "Cache-Control: no-cache, private\r\n"
    if request_id := REQUEST_ID.get():
        text += f"Audit-Id: {request_id}\r\n"
    for name, value in FLOW.get():
        text += f"{name}: {value}\r\n"
    for warning in WARNED.get():
        text += f'Warning: 299 - "{warning}"\r\n'
    for name, value in headers:
        text += f"{name}: {value}\r\n"
        if name == "Cache-Control":
            caching = ""
    text += caching
    return (text + ("Connection: close\r\n\r\n" if close else "\r\n")).encode("utf-8")


_dated = (0, "")


def _date() -> str:
    global _dated
    now = int(time.time())
    if _dated[0] != now:
        _dated = now, formatdate(now, usegmt=True)
    return _dated[1]
