"""The kubelet's port for who watches a node from itself."""

from __future__ import annotations

import asyncio
import socket

import aiohttp

from pylet.agent.kubelet.healthz import serve_health
from pylet.aio.clock import VirtualClock
from tests.waiting import answered


async def test_health_is_told_once_the_port_is_free() -> None:
    clock = VirtualClock()
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        serving = asyncio.create_task(serve_health("127.0.0.1", port, clock))
        await clock.advance(5)
        assert not serving.done()

    async def asked(path: str) -> tuple[int, str]:
        await clock.advance(5)
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    assert await answered(lambda: asked("/healthz"), lambda found: found[0]) == (200, "ok")
    assert await asked("/metrics") == (404, "404 page not found")
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
