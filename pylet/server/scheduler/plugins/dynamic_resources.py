"""DynamicResources: a pod goes where the devices are that its claims have, or can get."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.kinds.deviceclass import KIND as CLASS
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.kinds.resourceslice import KIND as SLICE
from pylet.api.object import Object, dig, uid_of
from pylet.api.resources import is_claimable
from pylet.server.scheduler.changes import is_of
from pylet.server.scheduler.decide import Broken, Change, Check, Plugin, Refusal, Score, normalized
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.snapshot import Snapshot


class DynamicResources(Plugin):
    name = "DynamicResources"
    normalize = staticmethod(normalized)

    def concerns(self, pod: Pending) -> bool:
        """Whether it has claims, or may get one for what it asks for."""
        return bool(pod.spec.get("resourceClaims")) or any(map(is_claimable, pod.requests))

    def has_any(self, pod: Pending, snapshot: Snapshot) -> bool:
        """As `concerns`, but a class stands for what it asks for."""
        if pod.spec.get("resourceClaims") or not self.concerns(pod):
            return bool(pod.spec.get("resourceClaims"))
        from pylet.server.scheduler.devices.extended import classes

        return bool(classes(pod, snapshot.view))

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Refusal | None:
        if not self.has_any(pod, snapshot):
            return None
        from pylet.server.scheduler.devices import claims

        view, ledger = snapshot.view, snapshot.device_ledger()
        try:
            found = claims.claims_of(pod, view, ledger)
        except claims.Waiting as why:
            return self._refusal(str(why))

        def check(node: NodeInfo) -> Refusal | None:
            try:
                planned = claims.plan(found, pod, node, view, ledger)
            except Broken as why:
                raise Broken(f'running "{self.name}" filter plugin: {why}') from why
            return self._refusal(planned) if isinstance(planned, str) else None

        return check

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score | None:
        if not pod.spec.get("resourceClaims"):
            return None
        from pylet.server.scheduler.devices import claims

        view, ledger = snapshot.view, snapshot.device_ledger()
        found = claims.claims_of(pod, view, ledger)
        if not claims.has_alternatives(found):
            return None

        def score(node: NodeInfo) -> int:
            planned = claims.plan(found, pod, node, view, ledger)
            return 0 if isinstance(planned, str) else claims.worth(found, planned)

        return score

    def waits(self, pod: Pending, snapshot: Snapshot) -> bool:
        """Whether a claim of the pod is still to be made: it is not worth a try before (upstream's PreEnqueue)."""
        if not pod.spec.get("resourceClaims"):
            return False
        from pylet.server.scheduler.devices import claims

        try:
            list(claims.existing(pod, snapshot.view))
        except claims.Waiting:
            return True
        return False

    def idle_claim(self, pod: Pending, snapshot: Snapshot) -> Object | None:
        """An allocated claim of a refused pod that only this pod has, but that keeps it from nodes."""
        from pylet.server.scheduler.devices import claims

        try:
            return claims.useless(pod, snapshot.view, snapshot.nodes.values())
        except claims.Waiting:
            return None

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if change.after is None:
            return change.kind is CLAIM and self.concerns(pod)
        if change.kind is NODE:
            return change.before is None or any(_of(change.before, *f) != _of(change.after, *f) for f in _OFFERS)
        if change.kind in (CLASS, SLICE):
            return True
        if change.kind is not CLAIM:
            return is_of(change, pod) and not self.waits(pod, snapshot)
        if change.before is not None and _of(change.before, *_ALLOCATION) and not _of(change.after, *_ALLOCATION):
            return True
        return (
            (change.before is None or change.before.get("status") != change.after.get("status"))
            and uid_of(change.after) in self._uids(pod, snapshot)
        )  # fmt: skip

    def _uids(self, pod: Pending, snapshot: Snapshot) -> set[str]:
        """Of the pod's claims; none while one is still to be made."""
        from pylet.server.scheduler.devices import claims

        try:
            return {uid_of(claim) for claim in claims.existing(pod, snapshot.view)}
        except claims.Waiting:
            return set()

    def _refusal(self, why: str) -> Refusal:
        return Refusal(self.name, (why,), is_final=True)


_ALLOCATION = ("status", "allocation")
_OFFERS = (("metadata", "labels"), ("status", "allocatable"))


def _of(obj: Object, *path: str) -> object:
    return dig(obj, *path)


PLUGIN = DynamicResources()
