"""Tunnels on real sockets: both ends in this process, the connection between them a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from pylet.aio.multiplex import MOST_STREAMS, WINDOW
from pylet.aio.tunnel import Tunnel
from tests.waiting import until


@dataclass
class Ends:
    near: Tunnel
    far: Tunnel
    accepted: asyncio.Queue[tuple[socket.socket, bytes]]
    lost: list[str] = field(default_factory=list)


@asynccontextmanager
async def ends(*, silence_seconds: float = 60) -> AsyncIterator[Ends]:
    loop = asyncio.get_running_loop()
    accepted: asyncio.Queue[tuple[socket.socket, bytes]] = asyncio.Queue()
    lost: list[str] = []
    near = Tunnel(silence_seconds=silence_seconds, lost=lost.append)
    far = Tunnel(silence_seconds=60, accept=lambda stream, to: accepted.put_nowait((stream, to)))
    for tunnel, end in zip((near, far), socket.socketpair(), strict=True):
        await loop.create_connection(lambda tunnel=tunnel: tunnel, sock=end)
    try:
        yield Ends(near, far, accepted, lost)
    finally:
        near.close()
        far.close()
        await asyncio.sleep(0)
        while not accepted.empty():
            accepted.get_nowait()[0].close()


async def stream(both: Ends) -> tuple[socket.socket, socket.socket]:
    near = both.near.open(b"there")
    far, to = await asyncio.wait_for(both.accepted.get(), 60)
    assert to == b"there"
    return near, far


async def read_all(end: socket.socket) -> bytes:
    loop, found = asyncio.get_running_loop(), bytearray()
    while data := await asyncio.wait_for(loop.sock_recv(end, 1 << 16), 60):
        found += data
    return bytes(found)


async def test_bytes_go_both_ways_until_both_sides_end() -> None:
    loop = asyncio.get_running_loop()
    async with ends() as both:
        one, two = await stream(both)
        question, answer = bytes(range(256)) * 8192, b"answer" * 100_000  # eight windows, and two
        asked = asyncio.create_task(loop.sock_sendall(one, question))
        answered = asyncio.create_task(loop.sock_sendall(two, answer))
        for task, end in ((asked, one), (answered, two)):
            task.add_done_callback(lambda _, end=end: end.shutdown(socket.SHUT_WR))
        assert await read_all(two) == question
        assert await read_all(one) == answer
        one.close()
        two.close()
        await asyncio.sleep(0.01)
        assert not both.near.streams
        assert not both.far.streams


async def test_a_stream_nobody_reads_stalls_no_other_and_holds_a_window() -> None:
    loop = asyncio.get_running_loop()
    async with ends() as both:
        stalled, unread = await stream(both)
        flood = asyncio.create_task(loop.sock_sendall(stalled, bytes(64 << 20)))
        one, two = await stream(both)
        for _ in range(100):
            await loop.sock_sendall(one, b"ping")
            assert await asyncio.wait_for(loop.sock_recv(two, 10), 60) == b"ping"
        assert not flood.done()
        assert both.far.held <= WINDOW
        flood.cancel()
        unread.close()
        one.close()
        two.close()
        stalled.close()


async def test_the_end_of_the_connection_ends_its_streams() -> None:
    async with ends() as both:
        one, two = await stream(both)
        both.far.close()
        assert await read_all(one) == b""
        assert await read_all(two) == b""
        assert both.lost == ["the other side has closed it"]
        with pytest.raises(ConnectionResetError):
            both.near.open()
        one.close()
        two.close()


async def test_who_stops_reading_resets_the_stream_for_the_writer() -> None:
    loop = asyncio.get_running_loop()
    async with ends() as both:
        one, two = await stream(both)
        two.close()
        with pytest.raises(OSError, match="pipe"):
            await asyncio.wait_for(loop.sock_sendall(one, bytes(4 << 20)), 60)
        one.close()


async def test_there_is_a_most_of_streams() -> None:
    async with ends() as both:
        held = [both.near.open() for _ in range(MOST_STREAMS)]
        with pytest.raises(OSError, match="streams are open"):
            both.near.open()
        for end in held:
            end.close()


async def test_silence_is_asked_and_then_ended() -> None:
    async with ends() as both:
        near = both.near
        for _ in range(2):  # as its timer does: the second time it asks
            near._listen()
        await until(lambda: near._has_heard)  # the far side answers
        both.far.data_received = lambda data: None  # type: ignore[method-assign]
        for _ in range(3):
            near._listen()
        await until(lambda: both.lost == ["nothing is heard any more"])


async def test_its_own_timer_ends_a_silent_connection() -> None:
    async with ends(silence_seconds=0.02) as both:
        both.far.data_received = lambda data: None  # type: ignore[method-assign]
        await until(lambda: both.lost == ["nothing is heard any more"])


async def test_noise_ends_the_connection() -> None:
    async with ends() as both:
        both.near.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        await until(lambda: len(both.lost) == 1)
