"""Answers load balancers that ask whether this node has endpoints of a service: one small HTTP server a port.

Source: pkg/proxy/healthcheck/service_health.go, KEP-27 (external source IP preservation).
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass

from pylet.aio import httpanswer
from pylet.aio.httpanswer import Answer
from pylet.api.object import Key

log = logging.getLogger(__name__)


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
        try:
            for address in self._addresses:
                server = await httpanswer.serve(lambda _: self._answer(service, check), address, check.port)
                check.servers.append(server)
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

    def _answer(self, service: Key, check: _Check) -> Answer:
        body = {
            "service": {"namespace": service.namespace, "name": service.name},
            "localEndpoints": check.endpoints,
            "serviceProxyHealthy": self.healthy,
        }
        headers = {"X-Content-Type-Options": "nosniff", "X-Load-Balancing-Endpoint-Weight": str(check.endpoints)}
        code = 200 if check.endpoints and self.healthy else 503
        return Answer(code, json.dumps(body, indent="\t"), "application/json", headers)
