"""metrics.k8s.io as this server's own group, there until an APIService names another server for it.

Nothing of `pylet.server.usage` is imported, read or kept before somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web

from pylet.aio.clock import Clock
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.client.view import Table
from pylet.server.http.answer import Answer
from pylet.server.http.kubelet_proxy import KubeletProxy
from pylet.server.http.negotiation import Shape, accepted

if TYPE_CHECKING:
    from pylet.server.usage.serving import Usage

GROUP, VERSION = "metrics.k8s.io", "v1beta1"


class OwnMetrics:
    is_available = True
    priorities = 100, 100

    def __init__(self, tables: Callable[[Kind], Table], kubelets: KubeletProxy, clock: Clock) -> None:
        self._tables = tables
        self._kubelets = kubelets
        self._clock = clock
        self._made: Usage | None = None
        self.resources: list[Object] = [
            {
                "resource": plural,
                "responseKind": {"group": GROUP, "version": VERSION, "kind": kind},
                "scope": scope,
                "singularResource": "",
                "verbs": ["get", "list"],
            }
            for plural, kind, scope in (("nodes", "NodeMetrics", "Cluster"), ("pods", "PodMetrics", "Namespaced"))
        ]

    def kinds(self) -> list[Kind]:
        """As OpenAPI tells of them."""
        from pylet.server.usage.published import kinds

        return kinds()

    async def serve(self, http: web.BaseRequest) -> Answer:
        """Raises: ApiError."""
        media = accepted(http.headers.get("Accept", ""), has_protobuf=False)
        as_table = media.shape is Shape.TABLE
        return Answer.of(await self._usage.answer(http.method, http.path, http.query, as_table=as_table))

    async def read(self, path: str) -> Object:
        """Raises: ApiError."""
        path, _, query = path.partition("?")
        return await self._usage.answer("GET", path, dict(parse_qsl(query)))

    @property
    def _usage(self) -> Usage:
        if self._made is None:
            from pylet.server.usage.serving import Usage

            self._made = Usage(self._tables, self._kubelets.read, self._clock)
        return self._made
