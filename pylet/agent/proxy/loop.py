"""Keeps the kernel's table equal to what Services and EndpointSlices say: one transaction for what one moment brings.

At its start, and when somebody flushed the table, all is written anew; else only what changed. The rules stay when it
stops: traffic flows while pylet restarts.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Iterable

from pylet.agent.proxy import nft
from pylet.agent.proxy.model import ServicePort, ports
from pylet.agent.proxy.ruleset import Changes, Installed, Layout, Ruleset, build, render, render_changes
from pylet.aio.clock import Clock
from pylet.api.object import Key
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_SERVICE_NAME = "kubernetes.io/service-name"
_RETRY_SECONDS = (0.5, 30.0)
_GATHER_SECONDS = 0.005  # a roll-out changes many slices at once: they make one transaction


class Proxy:
    """`run` until cancelled. `own` names Services that another part of the node answers itself: the cluster's DNS."""

    def __init__(
        self,
        services: Table,
        slices: Table,
        clock: Clock,
        *,
        node: str,
        layout: Layout,
        own: frozenset[Key] = frozenset(),
    ) -> None:
        self._services = services
        self._slices = slices
        self._clock = clock
        self._node = node
        self._layout = layout
        self._own = own
        self._slices_of: dict[Key, dict[Key, Entry]] = {}
        self._rulesets: dict[Key, Ruleset] = {}
        self._installed = Installed()
        self._dirty: set[Key] = set()
        self._lost = True
        self._wake = asyncio.Event()
        self.written = asyncio.Event()
        """Set once the table has been written."""

    async def run(self) -> None:
        for entry in self._slices.entries.values():
            self._slice_changed(None, entry)
        silence = (self._services.listen(self._service_changed), self._slices.listen(self._slice_changed))
        delay = _RETRY_SECONDS[0]
        try:
            with nft.watch_losses(self._layout.table, self._maybe_lost):
                while True:
                    try:
                        await self._write()
                        delay = _RETRY_SECONDS[0]
                    except (nft.NftError, OSError) as refused:
                        log.error("nftables: %s; writing all anew in %.1f s", refused, delay)
                        self._lost = True
                        await self._clock.sleep(delay)
                        delay = min(delay * 2, _RETRY_SECONDS[1])
                        continue
                    await self._wake.wait()
                    await self._clock.sleep(_GATHER_SECONDS)
                    self._wake.clear()
        finally:
            for stop in silence:
                stop()

    # ---- observing

    def _service_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        assert entry is not None
        self._touch(entry.key)

    def _slice_changed(self, before: Entry | None, after: Entry | None) -> None:
        for entry, is_there in ((before, False), (after, True)):
            if entry is None or not (name := entry.labels.get(_SERVICE_NAME)):
                continue
            service = Key(entry.key.namespace, name)
            group = self._slices_of.setdefault(service, {})
            if is_there:
                group[entry.key] = entry
            else:
                group.pop(entry.key, None)
            if not group:
                del self._slices_of[service]
            self._touch(service)

    def _touch(self, service: Key) -> None:
        self._dirty.add(service)
        self._wake.set()

    def _maybe_lost(self) -> None:
        """Rules went, by our own hand or by another's: count them when there is time."""
        self._wake.set()

    # ---- acting

    async def _write(self) -> None:
        if not self._lost and nft.rule_count(self._layout.table) < self._installed.rule_count(self._layout):
            log.warning("somebody changed nftables table %s: writing it anew", self._layout.table)
            self._lost = True
        if self._lost:
            await self._write_all()
        elif self._dirty:
            await self._write_changes()
        else:
            return
        self.written.set()

    async def _write_all(self) -> None:
        self._dirty.clear()
        self._rulesets = {key: build(self._ports(key)) for key in self._services.entries}
        everything = build(port for key in self._services.entries for port in self._ports(key))
        self._installed = Installed()
        self._installed.change(Ruleset(), everything)
        await asyncio.to_thread(nft.apply, render(self._layout, everything))
        self._lost = False

    async def _write_changes(self) -> None:
        dirty, self._dirty = self._dirty, set()
        before, after = Ruleset(), Ruleset()
        for key in dirty:
            fresh = build(self._ports(key))
            _merge(before, self._rulesets.get(key, Ruleset()))
            _merge(after, fresh)
            self._rulesets[key] = fresh
            if key not in self._services.entries:
                del self._rulesets[key]
        changes = self._installed.change(before, after)
        if changes:
            await asyncio.to_thread(nft.apply, render_changes(self._layout, changes))
            await asyncio.to_thread(_forget_flows, _stale_udp(changes))

    def _ports(self, key: Key) -> tuple[ServicePort, ...]:
        service = self._services.entries.get(key)
        if service is None or key in self._own:
            return ()
        return ports(service.object, (entry.object for entry in self._slices_of.get(key, {}).values()), self._node)


def _merge(into: Ruleset, one: Ruleset) -> None:
    for name, elements in one.elements.items():
        into.elements[name].update(elements)
    into.picks.update(one.picks)
    into.local.update(one.local)


def _stale_udp(changes: Changes) -> list[tuple[str, str]]:
    """(address, port) of UDP services that lost an endpoint: known flows would go on to it for as long as they talk."""
    gone = [key for name in ("service-endpoint4", "service-endpoint6") for key in changes.deleted.get(name, ())]
    parts = (key.split(" . ") for key in gone)
    return sorted({(address, port) for _, address, protocol, port in parts if protocol == "udp"})


def _forget_flows(frontends: Iterable[tuple[str, str]]) -> None:
    for address, port in frontends:
        command = ["conntrack", "-D", "-p", "udp", "--orig-dst", address, "--orig-port-dst", port]
        try:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        except FileNotFoundError:
            log.warning("conntrack is not installed: UDP flows of removed endpoints live on until they fall silent")
            return
