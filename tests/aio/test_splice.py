import asyncio
import socket
from typing import Any

import pytest
import uvloop

from pylet.aio.splice import Side, splice


async def test_bytes_pass_both_ways_and_both_connections_end_together() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    far = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = far.sockets[0].getsockname()[1]

    class Near(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.joined = asyncio.ensure_future(splice(transport, "127.0.0.1", port, b"head "))

    near = await asyncio.get_running_loop().create_server(Near, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*near.sockets[0].getsockname()[:2])
    assert await reader.readexactly(5) == b"HEAD "
    bulk = b"x" * 3_000_000
    send = asyncio.ensure_future(_send(writer, bulk))
    assert await reader.readexactly(len(bulk)) == bulk.upper()
    await send
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    near.close()
    far.close()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_either_side_says_first_arrives_and_all_ends_when_both_have_ended(factory: Any) -> None:
    async def main() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ready\n")
            writer.write((await reader.readline()).upper())
            writer.write_eof()
            await reader.read()
            writer.close()

        far = await asyncio.start_server(greet, "127.0.0.1", 0)
        host, port = far.sockets[0].getsockname()
        client, near = socket.socketpair()
        near.setblocking(False)
        client.sendall(b"helo\n")
        joined = asyncio.ensure_future(splice(near, host, port, b""))
        reader, writer = await asyncio.open_connection(sock=client)
        assert await reader.read() == b"220 ready\nHELO\n"
        writer.write_eof()
        await joined
        writer.close()
        far.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(main(), 60))


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


class Transport:
    def __init__(self, *, half_closes: bool) -> None:
        self.half_closes, self.said_eof = half_closes, False

    def can_write_eof(self) -> bool:
        return self.half_closes

    def is_closing(self) -> bool:
        return False

    def get_protocol(self) -> Any:
        return Side(asyncio.Event())

    def write_eof(self) -> None:
        self.said_eof = True


@pytest.mark.parametrize(("own", "peer"), [(True, True), (True, False), (False, True)])
def test_one_direction_ends_alone_only_where_both_connections_can_be_half_closed(own: bool, peer: bool) -> None:
    side: Any = Side(asyncio.Event())
    side.own, side.peer = Transport(half_closes=own), Transport(half_closes=peer)
    assert side.eof_received() is side.peer.said_eof is (own and peer)
