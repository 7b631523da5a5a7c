"""Carries out the plans of all controllers: one queue, a bounded number of workers, nothing while nothing changes.

The client must be one whose writes are visible in `tables` when they return (the loopback is): then a plan made after a
write has seen it, which is all that expectations are for elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from pylet.aio import timeset
from pylet.aio.clock import Clock
from pylet.aio.workqueue import WorkQueue
from pylet.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.client.events import Recorder
from pylet.client.interface import Client, PatchType
from pylet.client.view import Entry, Table, View
from pylet.server.reconcile.counted import Counted
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Count,
    Create,
    Delete,
    Emit,
    Patch,
    Plan,
    Synced,
    Update,
    Watch,
)

log = logging.getLogger(__name__)

_WORKERS = 16
_REST = 9  # times what a plan took: no key takes more than a tenth of a core, however many pods tell of themselves
_LONG_SECONDS = 0.001
_AT_ONCE = 64  # writes of one plan, each of which holds its object several times
_Item = tuple[int, Key]


class Runner:
    """`run` until cancelled."""

    def __init__(
        self,
        client: Callable[[str], Client],
        tables: dict[Kind, Table],
        clock: Clock,
        controllers: Sequence[Controller],
    ) -> None:
        """`client` is how the controller of a name reaches the API; `tables` is the runner's to add custom kinds to."""
        self._clients = {controller.name: client(controller.name) for controller in controllers}
        self._tables = tables
        self._custom: dict[Kind, list[Callable[[], None]]] = {}
        self._view = View(tables)
        self._clock = clock
        self._steps = timeset.Steps(clock)
        self._controllers = tuple(controllers)
        self._queue: WorkQueue[_Item] = WorkQueue(clock)
        self._rests: dict[_Item, float] = {}
        """Until when keys are left alone whose last plan was long."""
        self._recorders: dict[str, Recorder] = {}
        self._counted = Counted()

    async def run(self) -> None:
        silence = [self._listen(index, watch) for index, c in enumerate(self._controllers) for watch in c.watches]
        try:
            async with asyncio.TaskGroup() as group:
                for controller in self._controllers:
                    speaker = controller.speaker or f"{controller.name}-controller"
                    recorder = Recorder(self._clients[controller.name], self._clock, speaker)
                    self._recorders[controller.name] = recorder
                    group.create_task(recorder.run())
                for _ in range(_WORKERS):
                    group.create_task(self._work())
        finally:
            for stop in silence:
                stop()

    def adopt(self, kind: Kind, table: Table) -> None:
        """A custom kind has come, and its table is filled."""
        self._tables[kind] = table
        self._custom[kind] = [
            self._listen(index, controller.custom(kind))
            for index, controller in enumerate(self._controllers)
            if controller.custom is not None
        ]

    def abandon(self, kind: Kind) -> None:
        """That kind has gone, or makes place for another of its name."""
        self._tables.pop(kind, None)
        for stop in self._custom.pop(kind, ()):
            stop()

    def heed_clock(self) -> None:
        """Where the time of day was set, what is remembered of it is put right, and whatever waits is looked at."""
        if not (moved := self._steps.taken()):
            return
        log.warning("the time of day was set by %+d s", moved.total_seconds())
        for controller in self._controllers:
            if controller.time_set is not None:
                controller.time_set(moved)
        self._queue.hasten()

    def metrics(self) -> Iterator[str]:
        now, names = self._clock.monotonic(), [controller.name for controller in self._controllers]
        working = [(names[index], now - taken) for (index, _), (_, taken) in self._queue.running.items()]
        yield from self._counted.lines(names, (names[index] for index, _ in self._queue.waiting), working)
        for controller in self._controllers:
            if controller.metrics is not None:
                yield from controller.metrics(self._view)

    def _listen(self, index: int, watch: Watch) -> Callable[[], None]:
        table = self._view.table(watch.kind)
        for entry in list(table.entries.values()):
            for key in watch.keys(entry, self._view):
                self._add(index, key)

        def hear(before: Entry | None, after: Entry | None) -> None:
            if watch.part is not None and _is_same(watch.part, before, after):
                return
            for entry in (before, after):
                if entry is not None:
                    for key in watch.keys(entry, self._view):
                        self._add(index, key)

        return table.listen(hear)

    def _add(self, index: int, key: Key) -> None:
        rest = self._rests.get((index, key))
        self._enqueue((index, key), 0.0 if rest is None else max(0.0, rest - self._clock.monotonic()))

    def _enqueue(self, item: _Item, after: float) -> None:
        if self._queue.add(item, after):
            self._counted.adds.add(self._controllers[item[0]].name)

    def _retry(self, item: _Item, result: str) -> float:
        controller = self._controllers[item[0]]
        self._counted.plans.add(controller.name, result)
        self._counted.retries.add(controller.name)
        wait = self._queue.retry(item)
        if wait > controller.longest_wait:
            self._queue.add(item, controller.longest_wait)
        return min(wait, controller.longest_wait)

    async def _work(self) -> None:
        while True:
            async with self._queue.take() as item:
                controller = self._controllers[item[0]]
                actions, failed = await self._reconcile(controller, item)
                due, taken = self._queue.running[item]
                took = self._clock.monotonic() - taken
                self._counted.done(controller.name, taken - due, took)
                if controller.synced is not None:
                    controller.synced(Synced(item[1], actions, took, failed), self._view)

    async def _reconcile(self, controller: Controller, item: _Item) -> tuple[Sequence[Action], Exception | None]:
        """What was planned, and what it failed with."""
        key, plan = item[1], NOTHING
        try:
            plan = self._plan(controller, item)
            for step in _steps(plan.actions):
                await self._carry_out(controller, step)
        except ApiError as failed:
            if _is_overtaken(failed, controller, key):
                self._retry(item, "conflict")
                return plan.actions, failed
            if _in_vain(failed):
                self._counted.plans.add(controller.name, "in_vain")
                self._queue.forget(item)
                return plan.actions, failed
            wait = self._retry(item, "error")
            log.warning("%s %s: %s; again in %.1f s", controller.name, key, failed.message, wait)
            return plan.actions, failed
        except Exception as failed:  # a supervisor: one broken plan must not stop the others
            wait = self._retry(item, "bug")
            log.exception("%s %s: again in %.1f s", controller.name, key, wait)
            return plan.actions, failed
        self._counted.plans.add(controller.name, "success")
        self._queue.forget(item)
        if plan.again_after is not None:
            self._enqueue(item, plan.again_after.total_seconds())
        return plan.actions, None

    def _plan(self, controller: Controller, item: _Item) -> Plan:
        self.heed_clock()
        begin = self._clock.monotonic()
        plan = controller.plan(item[1], self._view, self._clock.now())
        took = self._clock.monotonic() - begin
        if took >= _LONG_SECONDS:
            self._rests[item] = begin + took * (1 + _REST)
        else:
            self._rests.pop(item, None)
        return plan

    async def _carry_out(self, controller: Controller, step: Sequence[Action]) -> None:
        """One step: a single action, or a run of creates or deletes, slowly at first: 1, 2, 4, … 64 at a time.

        The first failure ends it, so that what the API refuses is asked once, not a thousand times.
        """
        size, rest = 1, list(step)
        while rest:
            batch, rest = rest[:size], rest[size:]
            results = await asyncio.gather(*(self._act(controller, action) for action in batch), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            size = min(2 * size, _AT_ONCE)

    async def _act(self, controller: Controller, action: Action) -> None:
        try:
            await self._do(controller, action)
        except ApiError as refused:
            if not isinstance(action, Emit | Count) and action.refused is not None:
                for answer in action.refused(refused):
                    await self._act(controller, answer)
            raise

    async def _do(self, controller: Controller, action: Action) -> None:
        client = self._clients[controller.name]
        recorder = self._recorders[controller.name]
        match action:
            case Create():
                made = await client.create(action.kind, action.object)
                _emit(recorder, action.told, made)
            case Update():
                await client.update(action.kind, action.object, subresource=action.subresource)
            case Patch():
                await client.patch(
                    action.kind, action.key, action.patch, type_=PatchType.MERGE, subresource=action.subresource
                )
                _emit(recorder, action.told)
            case Delete():
                try:
                    await client.delete(
                        action.kind,
                        action.key,
                        uid=action.uid,
                        propagation=action.propagation,
                        grace_seconds=action.grace_seconds,
                    )
                except (NotFound, Conflict):
                    return  # gone, or a namesake that was not meant
                _emit(recorder, action.told)
            case Emit():
                _emit(recorder, action)
            case Count():
                action.carry_out()


def _is_same(part: Callable[[Object], object], before: Entry | None, after: Entry | None) -> bool:
    if before is None or after is None or before.uid != after.uid:
        return False
    return part(before.object) == part(after.object)


def _is_overtaken(refusal: ApiError, controller: Controller, key: Key) -> bool:
    """Somebody has since written what the plan would write, or deleted what it is about: the next plan sees that."""
    if isinstance(refusal, NotFound):
        about = refusal.details or {}
        return about.get("name") == key.name and about.get("kind") == controller.watches[0].kind.plural
    return isinstance(refusal, (Conflict, AlreadyExists))


def _in_vain(refusal: ApiError) -> bool:
    """Nothing is made any more in a namespace that is going away: asking again would only be refused again."""
    causes = (refusal.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def _emit(recorder: Recorder, emit: Emit | None, made: Object | None = None) -> None:
    if emit is not None:
        name = made["metadata"]["name"] if made is not None else ""
        recorder.tell(emit.about, emit.type, emit.reason, emit.message.replace("{name}", name))


def _steps(actions: Sequence[Action]) -> list[list[Action]]:
    """Runs of creates and runs of deletes of one kind together, every other action alone."""
    steps: list[list[Action]] = []
    for (sort, _), run in groupby(actions, lambda action: (type(action), getattr(action, "kind", None))):
        if sort in (Create, Delete):
            steps.append(list(run))
        else:
            steps += [[action] for action in run]
    return steps
