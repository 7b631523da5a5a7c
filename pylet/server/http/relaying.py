"""What another server answers, passed on as it comes, for as long as there is somebody who reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from pylet.server.http.answer import Connection, Stream, Streamed
from pylet.server.http.websocket import Messages

if TYPE_CHECKING:
    import aiohttp


async def relay(http: web.BaseRequest, found: aiohttp.ClientResponse, stream: Stream | Messages) -> Streamed:
    """Where the other breaks off, so does the answer: it has begun, and nothing else can be said in it."""
    import aiohttp

    connection = http.protocol
    assert isinstance(connection, Connection)
    connection.lost = found.close  # the other may have nothing to say for hours
    try:
        async for piece in found.content.iter_any():
            await stream.write(piece)
    except (ConnectionResetError, aiohttp.ClientError):
        if http.transport is not None:
            http.transport.close()
        return Streamed(keep_alive=False)
    finally:
        connection.lost = None
    return stream.end()
