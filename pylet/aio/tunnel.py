"""A connection that carries many others: each is a pair of sockets here, whose far end is a socket on the other side.

Nothing is held here but what a local socket does not take at once, and that is bounded by the stream's window: a socket
is read only while its stream may send and the connection takes more. A side that hears nothing for a while asks, and
gives the connection up when it then still hears nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from pylet.aio.multiplex import Event, Kind, Multiplex, TooMany, Violation

_MOST_UNSENT = 1 << 20  # nothing but frames nobody reads grows that large


class Tunnel(asyncio.Protocol):
    """One side, to be made the protocol of the connection. It opens streams unless it is told what to do with them.

    `accept` gets this side's end of each stream the other side opens, and whereto. `silence_seconds` is for how long
    nothing may be heard before it is asked for; `lost` is told at the end, why.
    """

    def __init__(
        self,
        *,
        silence_seconds: float,
        accept: Callable[[socket.socket, bytes], None] | None = None,
        lost: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.multiplex = Multiplex(is_opener=accept is None)
        self.is_paused = False
        self._accept = accept
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._why = ""
        self._pipes: dict[int, _Pipe] = {}
        self._silence_seconds = silence_seconds
        self._has_heard = True
        self._has_asked = False
        self._timer = self._loop.call_later(silence_seconds, self._listen)

    @property
    def held(self) -> int:
        """Bytes that have come and no local socket has taken."""
        return sum(pipe.held for pipe in self._pipes.values())

    @property
    def streams(self) -> int:
        return len(self._pipes)

    def open(self, to: bytes = b"") -> socket.socket:
        """This side's end of a new stream. Raises: OSError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the tunnel is closed")
        try:
            return self._carry(self.multiplex.open(to))
        except TooMany as many:
            raise OSError(str(many)) from many
        finally:
            self.flush()

    def close(self, why: str = "closed") -> None:
        self._why = self._why or why
        self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Send what the multiplex has to say."""
        out, transport = self.multiplex.out, self._transport
        if not out or transport is None or transport.is_closing():
            return
        transport.write(bytes(out))
        out.clear()
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            self.close("the other side does not read")

    def dropped(self, stream: int) -> None:
        """A pipe says that it is closed."""
        self._pipes.pop(stream, None)

    # ---- as the connection's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._has_heard = True
        try:
            for event in self.multiplex.receive(data):
                self._happened(event)
        except Violation as bad:
            self.close(str(bad))
        self.flush()

    def pause_writing(self) -> None:
        self._pause(is_paused=True)

    def resume_writing(self) -> None:
        self._pause(is_paused=False)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._timer.cancel()
        for pipe in list(self._pipes.values()):
            pipe.close()
        self._lost(self._why or str(error or "the other side has closed it"))

    # ----

    def _happened(self, event: Event) -> None:
        if event.kind is Kind.OPEN:
            assert self._accept is not None
            with suppress(OSError):  # the stream has been reset
                self._accept(self._carry(event.stream), event.data)
        elif (pipe := self._pipes.get(event.stream)) is not None:
            pipe.happened(event)

    def _carry(self, stream: int) -> socket.socket:
        try:
            ours, theirs = socket.socketpair()
        except OSError:  # too many files
            self.multiplex.reset(stream)
            raise
        for end in (ours, theirs):
            end.setblocking(False)
        self._pipes[stream] = _Pipe(self, self._loop, stream, ours)
        return theirs

    def _pause(self, *, is_paused: bool) -> None:
        self.is_paused = is_paused
        for pipe in list(self._pipes.values()):
            pipe.update()

    def _listen(self) -> None:
        if not self._has_heard and self._has_asked:
            self.close("nothing is heard any more")
            return
        self._has_asked = not self._has_heard
        if self._has_asked:
            self.multiplex.ping()
            self.flush()
        self._has_heard = False
        self._timer = self._loop.call_later(self._silence_seconds, self._listen)


class _Pipe:
    """One stream's bytes into and out of a local socket."""

    __slots__ = (
        "_has_ended",
        "_is_finished",
        "_is_reading",
        "_is_writing",
        "_loop",
        "_socket",
        "_stream",
        "_tunnel",
        "_unwritten",
    )

    def __init__(self, tunnel: Tunnel, loop: asyncio.AbstractEventLoop, stream: int, local: socket.socket) -> None:
        self._tunnel = tunnel
        self._loop = loop
        self._stream = stream
        self._socket = local
        self._unwritten = bytearray()
        self._is_finished = self._has_ended = False  # the local socket's reader; the other side
        self._is_reading = self._is_writing = False
        self.update()

    @property
    def held(self) -> int:
        return len(self._unwritten)

    def happened(self, event: Event) -> None:
        match event.kind:
            case Kind.DATA:
                self._unwritten += event.data
                if not self._is_writing:
                    self._write()
            case Kind.END:
                self._has_ended = True
                if not self._unwritten:
                    self._write()
            case Kind.CREDIT:
                self.update()
            case _:
                self.close()

    def update(self) -> None:
        """Read from the local socket just while what it says can be sent on."""
        wanted = not self._tunnel.is_paused and self._tunnel.multiplex.room(self._stream) > 0
        if wanted and not self._is_reading:
            self._loop.add_reader(self._socket, self._read)
        elif not wanted and self._is_reading:
            self._loop.remove_reader(self._socket)
        self._is_reading = wanted

    def close(self) -> None:
        self._tunnel.multiplex.reset(self._stream)  # says nothing where the stream is over
        self._tunnel.dropped(self._stream)
        if self._is_reading:
            self._loop.remove_reader(self._socket)
        if self._is_writing:
            self._loop.remove_writer(self._socket)
        self._is_reading = self._is_writing = False
        self._socket.close()

    def _read(self) -> None:
        multiplex = self._tunnel.multiplex
        try:
            data = self._socket.recv(multiplex.room(self._stream))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            multiplex.send(self._stream, data)
        else:
            self._is_finished = True
            multiplex.end(self._stream)
        self.update()
        self._close_if_over()
        self._tunnel.flush()

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._unwritten) if self._unwritten else 0
        except BlockingIOError:
            sent = 0
        except OSError:  # nobody is there to read it
            self.close()
            self._tunnel.flush()
            return
        del self._unwritten[:sent]
        self._tunnel.multiplex.take(self._stream, sent)
        wanted = bool(self._unwritten)
        if wanted and not self._is_writing:
            self._loop.add_writer(self._socket, self._write)
        elif not wanted and self._is_writing:
            self._loop.remove_writer(self._socket)
        self._is_writing = wanted
        if self._has_ended and not wanted:
            self._socket.shutdown(socket.SHUT_WR)
            self._close_if_over()
        self._tunnel.flush()

    def _close_if_over(self) -> None:
        if self._is_finished and self._has_ended and not self._unwritten:
            self.close()
