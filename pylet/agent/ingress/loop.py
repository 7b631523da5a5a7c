"""Keeps this node's HAProxy equal to what the Ingresses and Gateways of our classes say.

Nothing runs while there is neither. Of Gateways a node hears by an annotation of its Node, and only then watches what
they are made of. The Node says by another whether it serves: the addresses that Ingresses and Gateways are told
(`server.controllers`) follow that. A node that cannot serve says why in an event, and tries on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pylet.agent.ingress import haproxy, ingresses, model
from pylet.agent.ingress.certificates import Certificates
from pylet.agent.ingress.model import INGRESS_PORTS, Config, Problem
from pylet.agent.ingress.process import Haproxy, HaproxyError, Missing
from pylet.agent.ingress.telling import Telling
from pylet.aio.clock import Clock
from pylet.api.backends import SERVICE_NAME
from pylet.api.ingress import GATEWAYS, ours, secrets_of
from pylet.api.kind import Kind
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.ingress import KIND as INGRESS
from pylet.api.kinds.ingressclass import KIND as INGRESS_CLASS
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, annotations_of, key_of
from pylet.client.events import Recorder
from pylet.client.informer import Informers
from pylet.client.interface import Client, Tables
from pylet.client.view import Entry, Table

if TYPE_CHECKING:
    from pylet.agent.ingress.gateway_tables import GatewayTables
    from pylet.agent.ingress.gateways import Asked

log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.01
_RETRY_SECONDS = (1.0, 60.0)
_OPEN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """All that somebody wants served here."""

    ingresses: list[Object]
    classes: list[Object]
    gateways: list[Object]
    asked: Asked | None

    @property
    def everybody(self) -> list[tuple[str, Object]]:
        return [*(("Ingress", one) for one in self.ingresses), *(("Gateway", one) for one in self.gateways)]

    def services(self) -> set[Key]:
        found = {key for one in self.ingresses for key in ingresses.services_of(one)}
        if self.asked:
            from pylet.agent.ingress import gateways

            found |= set(gateways.services_of(self.asked.routes))
        return found

    def secrets(self) -> set[Key]:
        found = {key for one in self.ingresses for key in secrets_of(one)}
        return found | {key for one in (self.asked.listeners if self.asked else ()) for key in one.certificates}


class Ingresses:
    """`run` until cancelled; the proxy goes on, so that no request notices an agent that restarts."""

    def __init__(
        self,
        client: Client,
        tables: Tables,
        custom: Tables | None,
        shared: Mapping[Kind, Table],
        clock: Clock,
        *,
        node: str,
        directory: Path,
    ) -> None:
        """`custom` has the tables of custom kinds, which are else watched through the client; `shared` are Services,
        EndpointSlices and Nodes."""
        self._client = client
        self._tables = tables
        self._custom = custom
        self._services, self._slices, self._nodes = (shared[kind] for kind in (SERVICE, ENDPOINT_SLICE, NODE))
        self._clock = clock
        self._node = Key("", node)
        self._directory = directory
        self._proxy = Haproxy(directory, clock)
        self._running: Config | None = None
        self._leads_to: set[Key] = set()
        self._opening: asyncio.Task[None] | None = None
        self._gateways: GatewayTables | None = None
        self._problems: tuple[Problem, ...] = ()
        self._wake = asyncio.Event()
        self._certificates = Certificates(tables, directory, self._wake.set)
        self._recorder = Recorder(client, clock, "ingress", node)
        self._telling = Telling(client, self._recorder, self._nodes, self._node, self._wake.set)

    async def run(self) -> None:
        shown, classes = await self._tables.table(INGRESS), await self._tables.table(INGRESS_CLASS)
        async with asyncio.TaskGroup() as group:
            with contextlib.ExitStack() as stack:
                for table in (shown, classes):
                    stack.callback(table.listen(lambda before, after: self._wake.set()))
                stack.callback(self._services.listen(self._service_changed))
                stack.callback(self._slices.listen(self._slice_changed))
                stack.callback(self._nodes.listen(self._node_changed))
                group.create_task(self._recorder.run())
                await self._keep(shown, classes, group, stack)

    async def _keep(self, shown: Table, classes: Table, group: asyncio.TaskGroup, stack: contextlib.ExitStack) -> None:
        delay, forget = _RETRY_SECONDS[0], stack.enter_context(contextlib.ExitStack())
        while True:
            self._wake.clear()
            wanted = await self._want(shown, classes, group)
            self._leads_to = wanted.services()
            self._certificates.follow(wanted.secrets(), group)
            try:
                if await self._serve(wanted):
                    forget.close()
                    forget.callback(self._proxy.on_end(self._ended))
                delay = _RETRY_SECONDS[0]
                self._telling.tell(wanted.everybody, self._problems)
                await self._telling.say(serves=bool(wanted.everybody))
            except (HaproxyError, OSError, TimeoutError) as failed:
                self._running = None
                reason = "ProxyMissing" if isinstance(failed, Missing) else "ProxyFailed"
                message = f"node {self._node}: {failed}"
                everywhere = [Problem(kind, key_of(one), reason, message) for kind, one in wanted.everybody]
                self._telling.tell(wanted.everybody, [*self._problems, *everywhere])
                await self._telling.say(serves=False)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                delay = min(delay * 2, _RETRY_SECONDS[1])
                continue
            await self._wake.wait()
            await self._clock.sleep(_GATHER_SECONDS)

    # ---- observing

    async def _want(self, shown: Table, classes: Table, group: asyncio.TaskGroup) -> _Wanted:
        if self._is_asked() and self._opening is None:
            self._opening = group.create_task(self._open(group))
            await asyncio.wait([self._opening], timeout=_OPEN_SECONDS)  # a proxy that runs shall not lose its Gateways
        of_class = [entry.object for entry in classes.entries.values()]
        mine = ours((entry.object for entry in shown.entries.values()), of_class)
        gateways, asked = self._gateways.picture() if self._gateways else ([], None)
        return _Wanted(mine, of_class, gateways, asked)

    def _is_asked(self) -> bool:
        """Whether there are Gateways."""
        own = self._nodes.entries.get(self._node)
        return own is not None and annotations_of(own.object).get(GATEWAYS) == "true"

    async def _open(self, group: asyncio.TaskGroup) -> None:
        from pylet.agent.ingress.gateway_tables import GatewayTables

        custom = self._custom or Informers(self._client, group)
        self._gateways = await GatewayTables.of(self._tables, custom, self._wake.set)
        self._wake.set()

    def _node_changed(self, before: Entry | None, after: Entry | None) -> None:
        if after is None or after.key != self._node:
            return
        if before is None or (self._opening is None and self._is_asked()):
            self._wake.set()

    def _service_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is not None and entry.key in self._leads_to:
            self._wake.set()

    def _slice_changed(self, before: Entry | None, after: Entry | None) -> None:
        for entry in (before, after):
            if entry and Key(entry.key.namespace, entry.labels.get(SERVICE_NAME, "")) in self._leads_to:
                self._wake.set()

    def _ended(self) -> None:
        self._running = None
        self._wake.set()

    # ---- acting

    async def _serve(self, wanted: _Wanted) -> bool:
        """Make the proxy do what these say; whether it is another process now. Raises: HaproxyError."""
        if not wanted.everybody:
            if self._telling.serves is not False:
                self._proxy.stop()
            self._running, self._problems = None, ()
            return False
        config = self._config(wanted, await self._certificates.pems())
        self._problems = config.problems
        files = haproxy.files(config, self._place())
        is_new = True
        match haproxy.change(self._running, config):
            case haproxy.Commands(lines):
                try:
                    self._proxy.write(files)
                    await self._proxy.command(lines)
                    is_new = False
                except HaproxyError as refused:
                    log.info("ingress: %s; reloading", refused)
                    await self._proxy.apply(files, haproxy.generation(config))
            case haproxy.Reload():
                await self._proxy.apply(files, haproxy.generation(config))
        self._running = config
        return is_new

    def _config(self, wanted: _Wanted, pems: dict[Key, bytes | str]) -> Config:
        backends = model.Backends.of(
            {key: self._services.entries[key].object for key in self._leads_to if key in self._services.entries},
            (
                entry.object
                for entry in self._slices.entries.values()
                if Key(entry.key.namespace, entry.labels.get(SERVICE_NAME, "")) in self._leads_to
            ),
        )
        parts = [ingresses.build(wanted.ingresses, backends, pems, wanted.classes)]
        if wanted.asked and wanted.gateways:
            from pylet.agent.ingress import gateways

            asked = gateways.build(wanted.asked, backends, pems)
            taken = self._taken(asked.ports.keys() - INGRESS_PORTS)
            if taken:  # by another program: no reason to serve nothing
                asked = gateways.without(asked, taken, wanted.asked, f"node {self._node}")
                asyncio.get_running_loop().call_later(_RETRY_SECONDS[1], self._wake.set)
            parts.append(asked)
        return model.merge(parts, backends, pems)

    def _taken(self, ports: set[int]) -> set[int]:
        return {number for number in ports - self._proxy.ports() if not _is_free(number)}

    def _place(self) -> haproxy.Place:
        has_ipv6 = Path("/proc/net/if_inet6").exists()
        try:
            user = pwd.getpwnam("haproxy").pw_name if os.geteuid() == 0 else ""
        except KeyError:
            user = ""
        return haproxy.Place(
            self._directory, threads=min(os.cpu_count() or 1, 4), user=user, families=(4, 6) if has_ipv6 else (4,)
        )


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", port))
            tried.listen()  # a port may be bound by several as long as nobody listens
        except OSError:
            return False
    return True
