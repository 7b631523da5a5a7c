"""Keeps the kernel's table equal to what NetworkPolicies say of this node's pods.

Without a policy there is neither a table nor a watch of the cluster's pods. A policy that changes is written with all
others, in one transaction; a pod that changes is its own elements.

The addresses of this node's pods are known here before the API knows them: nothing of a pod starts before `isolate`
says that policies hold for it, with a server or without.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

from pylet.agent import nft
from pylet.agent.nftkeeper import TableKeeper
from pylet.agent.nftset import Element, SetType
from pylet.agent.policy import ruleset
from pylet.agent.policy.model import Pod, Policy, addresses_of, pod, policy
from pylet.agent.policy.ruleset import Compiled, applying, combinations, compile_policies, elements
from pylet.aio.clock import Clock
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.networkpolicy import KIND as NETWORK_POLICY
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, key_of
from pylet.client.interface import Tables
from pylet.client.view import Entry, Table

_RETRY_SECONDS = (1.0, 1.0)
_AT_ONCE = 200  # pods looked at between two looks at what else there is to do


class Policies:
    """`run` until cancelled."""

    def __init__(self, tables: Tables, clock: Clock, *, node: str) -> None:
        self._tables = tables
        self._clock = clock
        self._node = node
        self._compiled = Compiled(())
        self._chains: set[str] = set()
        self._types: dict[str, SetType] = {}
        self._written: dict[Key, frozenset[Element]] = {}
        self._policies: list[Policy] = []
        self._started: dict[Key, Object] = {}  # pods of this node, as the API will have them
        self._addresses: dict[Key, tuple[str, ...]] = {}
        self._holders: dict[str, list[Key]] = {}
        self._keeper = TableKeeper[Key](clock, retry_seconds=_RETRY_SECONDS)
        self.written = self._keeper.written

    async def isolate(self, obj: Object, addresses: tuple[str, ...]) -> None:
        """Wait until what policies say of this pod holds for these addresses, which it has been given."""
        fresh = {**obj, "status": {"podIPs": [{"ip": address} for address in addresses]}}
        if pod(fresh, self._node) is None:
            return
        key = key_of(obj)
        for other in [other for other, left in self._started.items() if set(addresses_of(left)) & set(addresses)]:
            del self._started[other]  # it came and went unseen
        self._started[key] = fresh
        self._keeper.touch(key)
        self.written.clear()
        await self.written.wait()

    async def run(self) -> None:
        policies = await self._tables.table(NETWORK_POLICY)
        with contextlib.ExitStack() as stack:
            stack.callback(policies.listen(lambda before, after: self._keeper.lose()))
            if not policies.entries:
                with contextlib.suppress(nft.NftError):
                    await asyncio.to_thread(nft.remove, ruleset.TABLE)  # of an earlier run
            while not policies.entries:
                self._started.clear()
                self._keeper.dirty.clear()
                self.written.set()
                self._keeper.wake.clear()
                await self._keeper.wake.wait()
            pods, namespaces = await self._tables.table(POD), await self._tables.table(NAMESPACE)
            stack.callback(pods.listen(self._pod_changed))
            stack.callback(namespaces.listen(self._namespace_changed))
            table = stack.enter_context(contextlib.closing(nft.Table(ruleset.TABLE, self._types)))
            await self._keeper.run(
                table,
                partial(self._write_all, table, policies, pods, namespaces),
                partial(self._write_changes, table, pods, namespaces),
            )

    # ---- observing

    def _pod_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        assert entry is not None
        started = self._started.get(entry.key)
        if started is not None and _is_told(started, entry, is_gone=after is None):
            del self._started[entry.key]
        self._keeper.touch(entry.key)

    def _namespace_changed(self, before: Entry | None, after: Entry | None) -> None:
        if (before.labels if before else None) != (after.labels if after else None):
            self._keeper.lose()

    # ---- acting

    async def _write_all(self, table: nft.Table, policies: Table, pods: Table, namespaces: Table) -> None:
        self._written.clear()
        self._holders.clear()
        self._addresses.clear()
        found = [policy(entry.object) for entry in policies.entries.values()]
        keys = [*pods.entries, *(self._started.keys() - pods.entries.keys())]
        here = [one for key in keys if (one := self._pod(key, pods)) and one.is_here]
        self._compiled = compile_policies({one.key: one for each in here for one in applying(each, found)}.values())
        self._types.clear()
        self._types.update(self._compiled.types)
        content: list[Element] = []
        for number, key in enumerate(keys):
            content += self._rebuild(key, pods, namespaces)[1]
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        chains = combinations(here, self._compiled)
        await table.run(ruleset.script(self._compiled, chains, content))
        self._chains = set(chains)
        self._policies = found

    async def _write_changes(self, table: nft.Table, pods: Table, namespaces: Table) -> None:
        written: dict[Key, frozenset[Element]] = {}
        wanted: dict[Key, frozenset[Element]] = {}
        here: list[Pod] = []
        while self._keeper.dirty:
            key = self._keeper.dirty.pop()
            before, wanted[key] = self._rebuild(key, pods, namespaces)
            written.setdefault(key, before)
            if (one := self._pod(key, pods)) and one.is_here:
                here.append(one)
        if any(one not in self._compiled.policies for each in here for one in applying(each, self._policies)):
            self._keeper.lose()  # the first pod of this node that this policy means
            return
        missing = {
            name: rules for name, rules in combinations(here, self._compiled).items() if name not in self._chains
        }
        if missing:
            await table.run(ruleset.chains_script(missing))
            self._chains |= missing.keys()
        before, after = frozenset[Element]().union(*written.values()), frozenset[Element]().union(*wanted.values())
        table.change(before - after, after - before)

    def _rebuild(self, key: Key, pods: Table, namespaces: Table) -> tuple[frozenset[Element], frozenset[Element]]:
        """What is written of this pod, and what is to be."""
        found = self._pod(key, pods)
        held = self._hold(key, found.addresses if found else ())
        before, after = self._written.pop(key, frozenset()), frozenset[Element]()
        if found and held:
            namespace = namespaces.entries.get(Key("", key.namespace))
            after = elements(replace(found, addresses=held), namespace.labels if namespace else {}, self._compiled)
        if after:
            self._written[key] = after
        return before, after

    def _hold(self, key: Key, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """The addresses that are this pod's; a newer pod may have one already while the old one is not gone yet."""
        for address in set(self._addresses.pop(key, ())).difference(wanted):
            holders = self._holders[address]
            holders.remove(key)
            if holders:
                self._keeper.dirty.add(holders[-1])
            else:
                del self._holders[address]
        for address in wanted:
            holders = self._holders.setdefault(address, [])
            if key not in holders:
                self._keeper.dirty.update(holders)
                holders.append(key)
        if wanted:
            self._addresses[key] = wanted
        return tuple(address for address in wanted if self._holders[address][-1] == key)

    def _pod(self, key: Key, pods: Table) -> Pod | None:
        entry, started = pods.entries.get(key), self._started.get(key)
        if started is None:
            return pod(entry.object, self._node) if entry else None
        told = entry.object if entry and entry.uid == started["metadata"].get("uid", "") else started
        status = {**(told.get("status") or {}), **started["status"]}
        return pod({**told, "status": status}, self._node)


def _is_told(started: Object, entry: Entry, *, is_gone: bool) -> bool:
    """Whether the API knows as much as this node does."""
    if is_gone:
        return bool(entry.uid == started["metadata"].get("uid", ""))
    return addresses_of(entry.object) == addresses_of(started)
