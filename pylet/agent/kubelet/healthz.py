"""The second port, for who watches a node from itself: `/healthz` alone, in clear. Loaded where a file asks for it."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from pylet.aio.clock import Clock

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


async def serve_health(address: str, port: int, clock: Clock) -> None:
    """Until cancelled; somebody else at the port is waited for, as upstream does."""
    server = web.Server(_answer, access_log=None)
    while True:
        try:
            listening = await asyncio.get_running_loop().create_server(server, address, port, reuse_address=True)
            break
        except OSError as failed:
            log.error("cannot tell of health at %s port %d: %s", address, port, failed.strerror)
            await clock.sleep(_RETRY_SECONDS)
    async with listening:
        await asyncio.Event().wait()


async def _answer(request: web.BaseRequest) -> web.StreamResponse:
    is_known = request.path == "/healthz" or request.path.startswith("/healthz/")
    return web.Response(text="ok") if is_known else web.Response(status=404, text="404 page not found")
