"""Since when devices are tainted."""

from __future__ import annotations

from tests.server.kit import Api, api
from tests.server.scheduler.devices import device, slice_of

__all__ = ["api"]


async def test_a_taint_says_since_when_it_is_there(api: Api) -> None:
    known = {"key": "b", "effect": "NoExecute", "timeAdded": "2026-01-02T03:04:05Z"}
    made = await api.create(slice_of(device("d", taints=[{"key": "a", "effect": "NoSchedule"}, known])))
    fresh, kept = made["spec"]["devices"][0]["taints"]
    assert fresh["timeAdded"]
    assert kept == known
