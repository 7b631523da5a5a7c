"""What the proxy says of itself where kube-proxy does: whether it is well (port 10256), and how it works (10249).

Balancers of clouds ask 10256 whether a node takes traffic: one that is being deleted shall get no more.
Source: pkg/proxy/healthcheck/proxy_health.go, cmd/kube-proxy/app/server.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable

from pylet.aio.clock import Clock
from pylet.api.object import Object, dig, is_terminating
from pylet.api.timestamps import format_micro

log = logging.getLogger(__name__)

HEALTH_PORT, STATUS_PORT = 10256, 10249

_REQUEST_SECONDS = 10.0
_REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}
_LEAVING = "ToBeDeletedByClusterAutoscaler"


class Status:
    """`is_well` tells whether the rules are as they should be, `node` what the API says of this node."""

    def __init__(self, clock: Clock, is_well: Callable[[], bool], node: Callable[[], Object | None]) -> None:
        self._clock = clock
        self._is_well = is_well
        self._node = node
        self._well_at = clock.now()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Where a port is taken, the proxy goes on without it."""
        with contextlib.ExitStack() as stack:
            for address, port in ((None, HEALTH_PORT), ("127.0.0.1", STATUS_PORT)):
                try:
                    stack.enter_context(contextlib.closing(await asyncio.start_server(self._serve, address, port)))
                except OSError as taken:
                    log.error("nobody can ask on port %d how the proxy is: %s", port, taken)
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                _, path, *_ = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ")
                code, body = self.answer(writer.get_extra_info("sockname")[1], path.partition("?")[0])
                kind = "application/json" if body.startswith("{") else "text/plain; charset=utf-8"
                head = (
                    f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: {kind}\r\nX-Content-Type-Options: nosniff\r\n"
                )
                writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
                await writer.drain()
        writer.close()

    def answer(self, port: int, path: str) -> tuple[int, str]:
        """Code and body."""
        match port, path:
            case 10249, "/healthz":
                return 200, "ok"
            case 10249, "/proxyMode":
                return 200, "nftables"
            case 10256, "/livez":
                return self._health({}, is_well=self._is_well())
            case 10256, "/healthz":
                is_eligible = _is_eligible(self._node())
                return self._health({"nodeEligible": is_eligible}, is_well=self._is_well() and is_eligible)
        return 404, "404 page not found\n"

    def _health(self, more: Object, *, is_well: bool) -> tuple[int, str]:
        now = self._clock.now()
        if self._is_well():
            self._well_at = now
        times = {"lastUpdated": format_micro(self._well_at), "currentTime": format_micro(now)}
        return (200 if is_well else 503), json.dumps(times | more)


def _is_eligible(node: Object | None) -> bool:
    if node is None:
        return False
    taints = dig(node, "spec", "taints", default=()) or ()
    return not is_terminating(node) and all(taint["key"] != _LEAVING for taint in taints)
