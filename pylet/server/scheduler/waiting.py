"""Pods that wait for a node: as they are, as they were when they were refused, and whom of them a change may help.

What could not be placed waits for a change that one of the plugins that refused it calls helpful. A pod that has others
removed for it is not tried again before they have been told.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping

from pylet.aio.clock import Clock
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.client.view import Entry
from pylet.server.scheduler.changes import asks, event_of, is_of
from pylet.server.scheduler.decide import Change, Profile, profile_of, scheduler_of
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.queue import ARRIVAL, PARKED, Queue, Tried
from pylet.server.scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)


class Waiting:
    def __init__(self, profiles: Mapping[str, Profile], snapshot: Snapshot, clock: Clock) -> None:
        self._profiles = profiles
        self._arrivals = frozenset(
            plugin.name for profile in profiles.values() for plugin, _ in profile.plugins if plugin.minds_arrivals
        )
        self._snapshot = snapshot
        self._clock = clock
        self._queue = Queue()
        self._pending: dict[str, Entry] = {}  # by uid: every pod of ours that has no node yet
        self._refused: dict[str, Pending] = {}  # of these, those that were refused: as they were then
        self._held: set[str] = set()
        self._gated: set[str] = set()
        self._work = asyncio.Event()

    def __contains__(self, uid: str) -> bool:
        return uid in self._pending

    def lengths(self) -> dict[str, int]:
        """Of the queues, those in front of whom there is a gate beside them."""
        return {**self._queue.lengths(), "gated": len(self._gated)}

    @property
    def moves(self) -> Mapping[tuple[str, str], int]:
        """How many pods came into a queue, by what happened and which it is."""
        return self._queue.moves

    def refusals(self) -> Counter[tuple[str, str]]:
        """How many pods a plugin of a profile refused that have not been tried again."""
        return Counter(
            (plugin, scheduler_of(pod.pod))
            for uid, pod in self._refused.items()
            for plugin in self._queue.refused_by(uid)
        )

    def tried(self, uid: str) -> Tried:
        return self._queue.tried(uid)

    async def next(self) -> Entry:
        """The pod to try now; it must then be refused, tried again, forgotten or taken out."""
        while (uid := self._queue.pop(self._clock.monotonic())) is None:
            await self._rest()
        self._refused.pop(uid, None)
        return self._pending[uid]

    def put(self, before: Entry | None, after: Entry) -> None:
        """A pod waits, or still does and has changed."""
        uid, pod = after.uid, after.object
        self._pending[uid] = after
        if uid not in self._queue:
            event = ARRIVAL if before is None else event_of(Change(POD, before.object, pod))
            self._queue.add(uid, pod["spec"].get("priority") or 0, event)
            self._gated.discard(uid)
            self._work.set()
        elif before is not None and asks(before.object) != asks(pod):
            self.hear(Change(POD, before.object, pod))

    def gate(self, uid: str) -> None:
        """It is not to be tried yet."""
        was_gated = uid in self._gated
        self.forget(uid)
        self._gated.add(uid)
        self._queue.moves[ARRIVAL, PARKED] += not was_gated

    def refuse(self, pod: Pending, refused_by: frozenset[str]) -> None:
        """`refused_by` names plugins; empty: it was none, so that any change may help."""
        self._refused[pod.uid] = pod
        self._queue.park(pod.uid, refused_by)

    def retry(self, uid: str) -> None:
        """After its back-off."""
        self._queue.retry(uid)

    def take_out(self, uid: str) -> None:
        """It has a place now. It keeps that in the queue, should its binding fail."""
        del self._pending[uid]

    def put_back(self, entry: Entry) -> None:
        """Its binding failed."""
        self._pending[entry.uid] = entry
        self._queue.retry(entry.uid)
        self._work.set()

    def forget(self, uid: str) -> None:
        self._queue.remove(uid)
        self._gated.discard(uid)
        if self._pending.pop(uid, None) is not None:
            self._refused.pop(uid, None)
            self._snapshot.nominate_nowhere(uid)

    def hold(self, uid: str) -> None:
        """No change helps it until `release`."""
        self._held.add(uid)

    def is_held(self, uid: str) -> bool:
        return uid in self._held

    def release(self, uid: str) -> None:
        self._held.discard(uid)

    def wake(self, uid: str, event: str) -> None:
        """`event` is what happened, in upstream's words."""
        if uid not in self._held:
            self._queue.wake(uid, self._clock.monotonic(), event)
            self._work.set()

    def tell(self, kind: Kind, before: Entry | None, after: Entry | None) -> None:
        if self._refused:  # else nobody waits, and nothing needs to be decoded
            self.hear(Change(kind, None if before is None else before.object, None if after is None else after.object))

    def hear(self, change: Change) -> None:
        """Something changed: try again whom it may help."""
        is_arrival = change.kind is POD and change.before is None
        for uid, refused_by in self._queue.parked(self._arrivals if is_arrival else None):
            if not refused_by or self._may_help(uid, refused_by, change):
                self.wake(uid, event_of(change))

    def _may_help(self, uid: str, refused_by: frozenset[str], change: Change) -> bool:
        pod = self._refused[uid]
        if is_of(change, pod) and change.after is not None:
            pod = Pending(change.after)
        plugins = [plugin for plugin, _ in profile_of(pod.pod, self._profiles).plugins if plugin.name in refused_by]
        try:
            return any(plugin.may_help(pod, change, self._snapshot) for plugin in plugins)
        except Exception:  # whoever changed something is not to suffer from it
            log.exception("cannot tell whether a change of %s helps pod %s", change.kind.plural, pod.key)
            return True

    async def _rest(self) -> None:
        """Until something happens, or a pod has waited long enough."""
        self._work.clear()
        due = self._queue.due()
        timer = None
        if due is not None:
            wait = max(0.0, due - self._clock.monotonic())
            timer = asyncio.get_running_loop().call_later(wait, self._work.set)
        try:
            await self._work.wait()
        finally:
            if timer is not None:
                timer.cancel()
