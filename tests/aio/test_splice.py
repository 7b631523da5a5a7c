import asyncio

from pylet.aio.splice import splice


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


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
