"""What another server answers, passed on as it comes, for as long as there is somebody who reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from pylet.server.http.answer import Connection, Stream, Streamed
from pylet.server.http.websocket import Messages

if TYPE_CHECKING:
    import aiohttp


async def relay(http: web.BaseRequest, found: aiohttp.ClientResponse, stream: Stream | Messages) -> Streamed:
    """Raises: aiohttp.ClientError when the other breaks off."""
    import aiohttp

    connection = http.protocol
    assert isinstance(connection, Connection)
    connection.lost = found.close  # the other may have nothing to say for hours
    try:
        async for piece in found.content.iter_any():
            await stream.write(piece)
    except (ConnectionResetError, aiohttp.ClientError):
        if http.transport is not None and not http.transport.is_closing():
            raise
        return Streamed(keep_alive=False)
    finally:
        connection.lost = None
    return stream.end()
