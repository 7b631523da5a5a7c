"""Which devices are given away, and how much of those that are shared: kept up to date claim by claim. Pure.

What pods on their way will have counts as given from when it is chosen (`assume`) until the claim itself says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pylet.api.object import Object, dig, uid_of
from pylet.api.quantity import parse
from pylet.server.scheduler.devices.pools import DeviceId


class Ledger:
    """`alone` are devices that nobody else can have; `shares` how many have one together, `taken` how much of it."""

    def __init__(self) -> None:
        self.alone: Counter[DeviceId] = Counter()
        self.shares: Counter[DeviceId] = Counter()
        self.taken: dict[DeviceId, Counter[str]] = {}
        self.assumed: dict[str, Object] = {}
        """By uid, claims as they will be."""

    def hear(self, before: Object | None, after: Object | None) -> None:
        """A claim came, went or changed."""
        if before is not None:
            self._count(before, -1)
        if after is not None:
            self._count(after, 1)
        claim = after or before
        if claim is not None and (after is None or is_allocated(after)):
            self.forget(uid_of(claim))

    def assume(self, claim: Object) -> None:
        self.assumed[uid_of(claim)] = claim
        self._count(claim, 1)

    def forget(self, uid: str) -> Object | None:
        """It will not be so, or is so by now; the claim as it was assumed to be."""
        claim = self.assumed.pop(uid, None)
        if claim is not None:
            self._count(claim, -1)
        return claim

    def is_used(self, device: DeviceId) -> bool:
        return device in self.alone or device in self.shares

    def _count(self, claim: Object, by: int) -> None:
        for result in results_of(claim):
            if result.get("adminAccess"):
                continue  # it has the device beside whoever else does
            device = (result["driver"], result["pool"], result["device"])
            if result.get("shareID") is None:
                _add(self.alone, device, by)
                continue
            _add(self.shares, device, by)
            taken = self.taken.setdefault(device, Counter())
            for name, amount in (result.get("consumedCapacity") or {}).items():
                taken[name] += by * parse(amount).nanos
            if device not in self.shares:
                del self.taken[device]


def is_allocated(claim: Object) -> bool:
    return dig(claim, "status", "allocation") is not None


def results_of(claim: Object) -> Iterator[Object]:
    yield from dig(claim, "status", "allocation", "devices", "results", default=())


def _add(counts: Counter[DeviceId], device: DeviceId, by: int) -> None:
    counts[device] += by
    if not counts[device]:
        del counts[device]
