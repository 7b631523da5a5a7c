"""Keeps the kernel's table equal to what Services, EndpointSlices and pods say, one transaction a moment.

At its start, and when somebody else took something of the table, all is written anew; else only what changed. The rules
stay when it stops: traffic flows while pylet restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from pylet.agent import nft
from pylet.agent.nftkeeper import TableKeeper
from pylet.agent.nftset import Element
from pylet.agent.proxy import affinity, flows, rules, ruleset
from pylet.agent.proxy.claims import Claims, Owner
from pylet.agent.proxy.counted import Counted
from pylet.agent.proxy.health import HealthChecks
from pylet.agent.proxy.model import OTHERS, Frontend, Here, frontends, health_check, host_ports
from pylet.agent.proxy.rules import Layout
from pylet.agent.proxy.ruleset import Installed, Ruleset
from pylet.agent.proxy.status import Status
from pylet.aio.clock import Clock
from pylet.api.backends import SERVICE_NAME, family_of
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_SERVICE, _POD = "Service", "Pod"
_ZONE = "topology.kubernetes.io/zone"
_RETRY_SECONDS = (0.5, 30.0)
_AT_ONCE = 200  # services built between two looks at what else there is to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the proxy watches; of `pods`, those of this node matter."""

    services: Table
    slices: Table
    nodes: Table
    pods: Table


class Proxy:
    """`run` until cancelled. `is_own` says of which Services another part of the node answers itself."""

    def __init__(
        self,
        sources: Sources,
        clock: Clock,
        *,
        here: Here,
        layout: Layout,
        is_own: Callable[[Object], bool] = lambda service: False,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._here = here
        self._layout = layout
        self._is_own = is_own
        self._written: dict[Owner, str] = {}
        self._claims = Claims()
        self._installed = Installed()
        self._chains: set[str] = set()
        self._checks = HealthChecks(here.addresses)
        self._counted = Counted(clock, tuple(dict.fromkeys(map(family_of, here.addresses))))
        self._keeper = TableKeeper[Owner](clock, retry_seconds=_RETRY_SECONDS)
        self.written = self._keeper.written

    async def run(self) -> None:
        for entry in self._sources.slices.entries.values():
            self._slice_changed(None, entry)
        listeners = (
            self._sources.services.listen(self._service_changed),
            self._sources.slices.listen(self._slice_changed),
            self._sources.pods.listen(self._pod_changed),
            self._sources.nodes.listen(self._node_changed),
        )
        async with contextlib.AsyncExitStack() as stack:
            for stop in listeners:
                stack.callback(stop)
            stack.callback(self._checks.close)
            status = Status(self._clock, lambda: self._checks.healthy, self._node, self._counted, self._waiting)
            await stack.enter_async_context(status.served())
            table = stack.enter_context(contextlib.closing(nft.Table(self._layout.table, rules.TYPES | rules.AFFINITY)))
            await self._keeper.run(
                table, partial(self._write, table, self._write_all), partial(self._write_dirty, table), self._failed
            )

    def _failed(self) -> None:
        self._checks.healthy = False
        self._counted.failed()

    def _waiting(self) -> int:
        """Services whose rules are still to be written."""
        return sum(sort == _SERVICE for sort, _ in self._keeper.dirty)

    # ---- observing

    def _service_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        assert entry is not None
        self._counted.service_changed()
        self._keeper.touch((_SERVICE, entry.key))

    def _slice_changed(self, before: Entry | None, after: Entry | None) -> None:
        entries = [entry for entry in (before, after) if entry is not None]
        named = [(entry.key.namespace, entry.labels.get(SERVICE_NAME)) for entry in entries]
        services = {Key(namespace, name) for namespace, name in named if name}
        self._counted.endpoints_changed(services, after)
        for service in services:
            self._keeper.touch((_SERVICE, service))

    def _pod_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        assert entry is not None
        if _asks_for_ports(entry):
            self._keeper.touch((_POD, entry.key))

    def _node_changed(self, before: Entry | None, after: Entry | None) -> None:
        if after is not None and after.key.name == self._here.node and self._zone() != self._here.zone:
            self._keeper.lose()

    # ---- acting

    async def _write(self, table: nft.Table, write: Callable[[nft.Table], Awaitable[None]]) -> None:
        with self._counted.writing(whole=write == self._write_all):
            await write(table)

    async def _write_dirty(self, table: nft.Table) -> None:
        if self._keeper.dirty:
            await self._write(table, self._write_changes)

    async def _write_all(self, table: nft.Table) -> None:
        self._written.clear()
        self._claims, self._installed = Claims(), Installed()
        self._here = replace(self._here, zone=self._zone())
        try:
            await table.run(rules.script(self._layout))
        except nft.NftError:
            # of another version, with the same sets of other types
            await asyncio.to_thread(nft.remove, self._layout.table)
            await table.run(rules.script(self._layout))
        self._chains.clear()
        try:
            flows.set_limits()
        except OSError as refused:
            log.warning("conntrack keeps its own limits: %s", refused)
        owners: list[Owner] = [(_SERVICE, key) for key in self._sources.services.entries]
        owners += [(_POD, key) for key, entry in self._sources.pods.entries.items() if _asks_for_ports(entry)]
        batch, chains = table.batch(), set[str]()
        for name in rules.TYPES:
            batch.flush(name)
        datagrams: list[Frontend] = []
        for number, owner in enumerate(owners):
            _, after = self._rebuild(owner, datagrams)
            changes = self._installed.change((), after)
            batch.add(changes.added)
            chains |= changes.chains
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        await self._make_chains(table, chains)
        await asyncio.to_thread(table.apply, batch)
        await self._forget_flows(datagrams)
        self._checks.healthy = True
        for key in list(self._sources.services.entries):
            await self._check(key)

    async def _write_changes(self, table: nft.Table) -> None:
        before: list[Element] = []
        after: list[Element] = []
        datagrams: list[Frontend] = []
        services: set[Key] = set()
        while self._keeper.dirty:
            owner = self._keeper.dirty.pop()
            old, new = self._rebuild(owner, datagrams)
            before += old
            after += new
            if owner[0] == _SERVICE:
                services.add(owner[1])
        if changes := self._installed.change(before, after):
            await self._make_chains(table, changes.chains)
            table.change(changes.deleted, changes.added)
            affinity.forget(table, changes)
        await self._forget_flows(datagrams)
        for key in services:
            await self._check(key)

    def _rebuild(self, owner: Owner, datagrams: list[Frontend]) -> tuple[list[Element], Ruleset]:
        """What is written of this owner, and what is to be; adds its frontends without connections to `datagrams`."""
        granted, promoted = self._claims.grant(owner, self._frontends(owner))
        self._keeper.dirty |= promoted
        before, after = ruleset.unpack(self._written.get(owner, "")), ruleset.build(granted)
        if after:
            self._written[owner] = ruleset.pack(after)
        else:
            self._written.pop(owner, None)
        datagrams += [frontend for frontend in granted if frontend.protocol != "tcp"]
        return before, after

    def _frontends(self, owner: Owner) -> tuple[Frontend, ...]:
        kind, key = owner
        if kind == _POD:
            pod = self._sources.pods.entries.get(key)
            if pod is None or pod.object["spec"].get("nodeName") != self._here.node:
                return ()
            return host_ports(pod.object)
        entry = self._sources.services.entries.get(key)
        if entry is None or self._is_own(service := entry.decoded()):
            return ()
        return frontends(service, self._slices(key), self._here)

    def _slices(self, service: Key) -> list[Object]:
        slices = self._sources.slices.with_label(SERVICE_NAME, *service)
        return [entry.decoded() for entry in slices if not OTHERS & entry.labels.keys()]

    async def _make_chains(self, table: nft.Table, chains: set[str]) -> None:
        missing = sorted(name for name in chains - self._chains if not rules.is_fixed(name))
        if missing:
            await table.run(rules.chains_script(self._layout, missing))
            table.add_rules(rules.raw_rules(missing))
        self._chains.update(missing)

    async def _forget_flows(self, datagrams: list[Frontend]) -> None:
        if not datagrams:
            return
        try:
            await asyncio.to_thread(flows.forget_stale, datagrams)
        except OSError as failed:
            log.error("conntrack: %s; flows of removed endpoints live on until they fall silent", failed)

    async def _check(self, key: Key) -> None:
        service = self._sources.services.entries.get(key)
        wanted = None
        if service and b'"healthCheckNodePort"' in service.raw:  # few have one: the others are not decoded again
            wanted = health_check(service.decoded(), self._slices(key), self._here.node)
        await self._checks.set(key, wanted)

    def _node(self) -> Object | None:
        node = self._sources.nodes.entries.get(Key("", self._here.node))
        return node.object if node else None

    def _zone(self) -> str:
        node = self._sources.nodes.entries.get(Key("", self._here.node))
        return node.labels.get(_ZONE, "") if node else ""


def _asks_for_ports(pod: Entry) -> bool:
    """May say so of one that does not; few have host ports, and to decode them all would cost more than the rest."""
    return b'"hostPort"' in pod.raw
