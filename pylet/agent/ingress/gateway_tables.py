"""The tables a node reads where there are Gateways: loaded, and watched, from the first Gateway on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pylet.agent.ingress.gateways import Asked
from pylet.api.gateway import GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, REFERENCE_GRANT
from pylet.api.gateway.listeners import listeners, ours
from pylet.api.kind import Kind
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Object, labels_of
from pylet.client.interface import Tables
from pylet.client.view import Table

_KINDS = (GATEWAY_CLASS, GATEWAY, HTTP_ROUTE, REFERENCE_GRANT)


class GatewayTables:
    def __init__(self, tables: dict[Kind, Table]) -> None:
        self._tables = tables

    @classmethod
    async def of(cls, own: Tables, custom: Tables, changed: Callable[[], None]) -> GatewayTables:
        """`custom` has the tables of custom kinds; `changed` is called on each change from here on."""
        found = await asyncio.gather(*(custom.table(kind) for kind in _KINDS), own.table(NAMESPACE))
        for table in found:
            table.listen(lambda before, after: changed())
        return cls(dict(zip((*_KINDS, NAMESPACE), found, strict=True)))

    def picture(self) -> tuple[list[Object], Asked]:
        """The Gateways of our classes, and all that is asked of them."""
        grants = self._all(REFERENCE_GRANT)
        gateways = ours(self._all(GATEWAY), self._all(GATEWAY_CLASS))
        labels = {entry.key.name: labels_of(entry.object) for entry in self._tables[NAMESPACE].entries.values()}
        return gateways, Asked(listeners(gateways, grants), self._all(HTTP_ROUTE), grants, labels)

    def _all(self, kind: Kind) -> list[Object]:
        return [entry.object for entry in self._tables[kind].entries.values()]
