"""The Lease of an API server."""

from __future__ import annotations

import asyncio

import pytest

from pylet.aio.clock import VirtualClock
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.object import Key
from pylet.server import identity
from pylet.server.loopback import Loopback
from pylet.server.registry.form import VOLATILE, Layout
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import running
from tests.waiting import until


def test_it_is_named_as_upstream_names_it() -> None:
    assert identity.name_of("vm") == "apiserver-wlv32tlttr4jl3gtroqexyxapa"


async def test_it_is_there_renewed_and_made_anew_and_never_on_the_disk() -> None:
    async with running(MemoryStore()) as api:
        await api.namespace("kube-system")
        clock, table = VirtualClock(), api.registry.table(LEASE)
        key = Key("kube-system", identity.name_of("here"))
        keeping = asyncio.create_task(identity.keep(Loopback(api.registry), clock, "here"))
        await until(lambda: key in table.entries)
        lease = table.entries[key].object
        assert lease["metadata"]["labels"]["apiserver.kubernetes.io/identity"] == "kube-apiserver"
        assert lease["spec"]["leaseDurationSeconds"] == 3600
        await clock.advance(600)
        await until(lambda: table.entries[key].object["spec"]["renewTime"] > lease["spec"]["renewTime"])
        await api.delete(LEASE, *key)
        await clock.advance(600)
        await until(lambda: key in table.entries)
        assert Layout.place(LEASE, key).startswith(VOLATILE)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
