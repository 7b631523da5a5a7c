"""Answers load balancers that ask whether this node has endpoints of a service: one small HTTP server a port.

Source: pkg/proxy/healthcheck/service_health.go, KEP-27 (external source IP preservation).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass

from pylet.api.object import Key

log = logging.getLogger(__name__)

_REQUEST_SECONDS = 10.0


@dataclass(slots=True)
class _Check:
    port: int
    endpoints: int
    servers: list[asyncio.Server]


class HealthChecks:
    """`addresses` are where the ports are opened. `healthy` is whether the node's rules are as they should be."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._checks: dict[Key, _Check] = {}
        self.healthy = False

    async def set(self, service: Key, wanted: tuple[int, int] | None) -> None:
        """`wanted` is the port and the number of endpoints; None closes it."""
        found = self._checks.get(service)
        if found and (wanted is None or found.port != wanted[0]):
            self._close(self._checks.pop(service))
            found = None
        if wanted is None:
            return
        if found:
            found.endpoints = wanted[1]
            return
        check = self._checks[service] = _Check(*wanted, [])

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._answer(service, check, reader, writer)

        try:
            for address in self._addresses:
                check.servers.append(await asyncio.start_server(answer, address, check.port))
        except OSError as failed:
            self._close(self._checks.pop(service))
            log.error("service %s/%s: cannot open health-check port %d: %s", *service, check.port, failed)

    def close(self) -> None:
        for check in self._checks.values():
            self._close(check)
        self._checks.clear()

    def _close(self, check: _Check) -> None:
        for server in check.servers:
            server.close()

    async def _answer(
        self, service: Key, check: _Check, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(service, check.endpoints, healthy=self.healthy))
                await writer.drain()
        writer.close()


def _response(service: Key, endpoints: int, *, healthy: bool) -> bytes:
    status = "200 OK" if endpoints and healthy else "503 Service Unavailable"
    body = {
        "service": {"namespace": service.namespace, "name": service.name},
        "localEndpoints": endpoints,
        "serviceProxyHealthy": healthy,
    }
    text = json.dumps(body, indent="\t")
    head = (
        f"HTTP/1.1 {status}\r\n"
        "Content-Type: application/json\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        f"X-Load-Balancing-Endpoint-Weight: {endpoints}\r\n"
        f"Content-Length: {len(text)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return (head + text).encode()
