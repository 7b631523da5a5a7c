"""Where a Service is to be reached from the server itself: at a ready endpoint of it.

Source: apiserver pkg/util/proxy/proxy.go (ResolveEndpoint).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from pylet.api.backends import SERVICE_NAME
from pylet.api.ip import in_url
from pylet.api.kind import Kind
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, dig
from pylet.client.view import Table


class Unresolved(Exception):
    """Nobody is to be reached there; the message says why."""


class Services:
    """`tables` are the server's own."""

    def __init__(self, tables: Callable[[Kind], Table]) -> None:
        self._tables = tables

    def address(self, service: Key, port: int) -> str:
        """`host:port` for a Service's port. Raises: Unresolved."""
        entry = self._tables(SERVICE).entries.get(service)
        if entry is None:
            raise Unresolved(f'service "{service.name}" not found')
        spec = entry.object["spec"]
        if spec.get("type") == "ExternalName":
            return f"{spec.get('externalName')}:{port}"
        named = [one.get("name", "") for one in spec.get("ports") or () if one["port"] == port]
        if not named:
            raise Unresolved(f'no service port {port} found for service "{service.name}"')
        found = list(self.endpoints(service, named[0]))
        if not found:
            raise Unresolved(f'no endpoints available for service "{service.name}"')
        host, number, _ = random.choice(found)
        return f"{in_url(host)}:{number}"

    def slices(self, service: Key) -> Iterator[Object]:
        for entry in self._tables(ENDPOINT_SLICE).in_namespace(service.namespace).values():
            if entry.labels.get(SERVICE_NAME) == service.name:
                yield entry.object

    def endpoints(self, service: Key, port: str) -> Iterator[tuple[str, int, Object]]:
        """Address and number of every ready endpoint of the port of that name, and the reference to what it is."""
        for found in self.slices(service):
            numbers = [one["port"] for one in found.get("ports") or () if (one.get("name") or "") == port]
            for endpoint in found.get("endpoints") or ():
                if numbers and dig(endpoint, "conditions", "ready", default=True):
                    yield endpoint["addresses"][0], numbers[0], endpoint.get("targetRef") or {}
