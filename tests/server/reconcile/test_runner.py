"""The runner: plans are carried out in order, slowly where they might all fail, and again when they did."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from pylet.aio.prometheus import Counter as Counted
from pylet.aio.prometheus import Histogram
from pylet.api.errors import ApiError, Conflict, Forbidden, InternalError, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
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
    Watch,
    itself,
    told_of,
)
from pylet.server.reconcile.runner import Runner
from tests.sim.virtual import LoopClock, run

_KEY = Key("default", "it")


class Client:
    """Remembers what it was asked, and how much of it at a time; `fails` may raise."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.events: list[str] = []
        self.at_once: list[int] = []
        self._now = 0
        self.fails: Callable[[str, Key], None] = lambda verb, key: None

    async def _do(self, verb: str, kind: Kind, key: Key) -> None:
        self._now += 1
        self.asked.append(f"{verb} {kind.plural} {key.name}")
        self.at_once.append(self._now)
        await asyncio.sleep(0.001)
        self._now -= 1
        self.fails(verb, key)

    async def create(self, kind: Kind, obj: Object, **_: Any) -> Object:
        if kind is EVENT:
            self.events.append(f"{obj['reason']}: {obj['message']}")
            return obj
        await self._do("create", kind, Key("default", obj["metadata"]["name"]))
        return obj

    async def patch(self, kind: Kind, key: Key, patch: Any, **_: Any) -> Object:
        if kind is not EVENT:
            await self._do("patch", kind, key)
        return {}

    async def delete(self, kind: Kind, key: Key, **_: Any) -> Object:
        await self._do("delete", kind, key)
        return {}


def made(name: str = "it", kind: Kind = CONFIG_MAP) -> Object:
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta}


def results_of(runner: Runner) -> Counter[Any]:
    """Plans by what came of them, as Prometheus is told."""
    told = (
        re.fullmatch(r'controller_runtime_reconcile_total{.*result="(.*)"} (.*)', line) for line in runner.metrics()
    )
    return Counter({found[1]: int(found[2]) for found in told if found})


def play(
    plan: Callable[[Key, View, datetime], Plan], client: Client, *, seconds: float = 1.0, **given: Any
) -> Counter[Any]:
    """Have one object's controller run for a while of virtual time; what happened how often."""

    async def scenario() -> Counter[Any]:
        table = Table(CONFIG_MAP)
        table.put(Entry.of(CONFIG_MAP, made()))
        controller = Controller("test", (Watch(CONFIG_MAP, itself),), plan, **given)
        runner = Runner(lambda _: client, {CONFIG_MAP: table}, LoopClock(), [controller])  # type: ignore[arg-type]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.run(), seconds)
        return results_of(runner)

    return run(scenario())


def once(*actions: Action) -> Callable[[Key, View, datetime], Plan]:
    """A plan the first time, then none: as after writes that had their effect."""
    plans = [Plan(actions)]
    return lambda key, view, now: plans.pop() if plans else NOTHING


def creates(count: int, kind: Kind = POD, **given: Any) -> list[Action]:
    return [Create(kind, made(f"n{number}", kind), **given) for number in range(count)]


def test_a_run_of_creates_starts_slowly() -> None:
    client = Client()
    play(once(*creates(12)), client)
    assert len(client.asked) == 12
    assert client.at_once == [1, 1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5]


def test_what_was_done_is_counted_as_far_as_the_plan_came() -> None:
    client, done = Client(), Counted("done", "Done.", ("what",))
    seconds, synced = Histogram("seconds", "Taken.", (), (1,)), []

    def refuse(verb: str, key: Key) -> None:
        if key.name == "n2":
            raise Forbidden("pods", key.name, "quota")

    def answer(error: ApiError) -> tuple[Action, ...]:
        return (Count(done, ("refused",)),)

    client.fails = refuse
    some, bad = creates(2), Create(POD, made("n2", POD), refused=answer)
    actions = (*some, Count(done, ("made",), 2), Count(seconds, value=0.5), bad, Count(done, ("made",), 10))
    counts = play(once(*actions), client, synced=lambda end, view: synced.append((end.actions, type(end.failed))))
    assert counts["error"] == 1
    assert dict(done.items()) == {("made",): 2, ("refused",): 1}
    assert seconds.counts() == [1, 0]
    assert synced[0] == (actions, Forbidden)
    assert synced[1] == ((), type(None))


def test_what_controllers_count_is_told() -> None:
    told = Counted("done", "Done.")
    told.add()

    async def scenario() -> list[str]:
        controller = Controller("test", (Watch(CONFIG_MAP, itself),), once(), metrics=told_of(told))
        return list(Runner(lambda _: Client(), {CONFIG_MAP: Table(CONFIG_MAP)}, LoopClock(), [controller]).metrics())  # type: ignore[arg-type]

    assert "done 1" in run(scenario())


def test_a_long_run_of_creates_is_never_all_in_flight() -> None:
    client = Client()
    play(once(*creates(400)), client)
    assert len(client.asked) == 400
    assert max(client.at_once) == 64


def test_other_actions_and_kinds_are_done_one_after_another() -> None:
    client = Client()
    patches = [Patch(POD, Key("default", name), {}) for name in "ab"]
    play(once(*creates(1, SECRET), *creates(1), *patches, Delete(POD, _KEY)), client)
    assert client.asked == ["create secrets n0", "create pods n0", "patch pods a", "patch pods b", "delete pods it"]
    assert set(client.at_once) == {1}


def test_the_first_refusal_ends_the_plan_and_calls_for_its_own_actions() -> None:
    client = Client()

    def refuse(verb: str, key: Key) -> None:
        if verb == "create":
            raise Forbidden("pods", key.name, "quota")

    def answer(error: ApiError) -> tuple[Action, ...]:
        return Emit(made(), "FailedCreate", error.message, "Warning"), Patch(CONFIG_MAP, _KEY, {})

    client.fails = refuse
    counts = play(once(*creates(500, refused=answer), Delete(POD, _KEY)), client)
    assert client.asked == ["create pods n0", "patch configmaps it"]
    assert len(client.events) == 1
    assert client.events[0].startswith("FailedCreate: ")
    assert counts == {"error": 1, "success": 1}, "it was planned again, and there was nothing left to do"


@pytest.mark.parametrize(
    ("sort", "verb"), [(partial(Patch, patch={}), "patch"), (Delete, "delete")], ids=["a patch", "a deletion"]
)
def test_what_is_refused_calls_for_its_own_actions(sort: Callable[..., Action], verb: str) -> None:
    client = Client()

    def refuse(verb: str, key: Key) -> None:
        if key.name == "a":
            raise Forbidden("pods", key.name, "quota")

    client.fails = refuse
    answer = (Patch(POD, Key("default", "b"), {}),)
    play(once(sort(POD, Key("default", "a"), refused=lambda error: answer)), client)
    assert client.asked == [f"{verb} pods a", "patch pods b"]


def test_success_is_told_with_the_name_the_api_gave() -> None:
    client = Client()
    play(once(*creates(1, told=Emit(made(), "SuccessfulCreate", "Created pod: {name}"))), client)
    assert client.events == ["SuccessfulCreate: Created pod: n0"]


def test_what_fails_is_tried_again_after_ever_longer_waits() -> None:
    client, times = Client(), list[datetime]()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        times.append(now)
        return Plan((Patch(POD, _KEY, {}),))

    def conflict(verb: str, key: Key) -> None:
        raise Conflict("pods", key.name, "changed")

    client.fails = conflict
    counts = play(plan, client, seconds=60.0)
    waits = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
    assert counts["conflict"] == len(times)
    assert len(times) < 20, "nothing spins"
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(waits))


def test_no_wait_is_longer_than_its_controller_says() -> None:
    client, times = Client(), list[datetime]()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        times.append(now)
        return Plan((Patch(POD, _KEY, {}),))

    def refuse(verb: str, key: Key) -> None:
        raise InternalError("no webhook answers")

    client.fails = refuse
    play(plan, client, seconds=1000.0, longest_wait=60)
    waits = [round((b - a).total_seconds()) for a, b in itertools.pairwise(times)]
    assert waits[-10:] == [60] * 10


@pytest.mark.parametrize(("name", "counted"), [("it", "conflict"), ("another", "error")])
def test_what_was_deleted_since_the_plan_was_made_is_no_failure(name: str, counted: str) -> None:
    client = Client()

    def gone(verb: str, key: Key) -> None:
        raise NotFound("", "configmaps", name)

    client.fails = gone
    counts = play(once(Patch(CONFIG_MAP, Key("default", name), {})), client)
    assert counts == {counted: 1, "success": 1}


def test_a_namespace_that_is_going_away_is_left_alone() -> None:
    client = Client()

    def refuse(verb: str, key: Key) -> None:
        refusal = Forbidden("", "pods", key.name, "the namespace is being terminated")
        refusal.details = {"causes": [{"reason": "NamespaceTerminating"}]}
        raise refusal

    client.fails = refuse
    counts = play(lambda key, view, now: Plan(tuple(creates(1))), client, seconds=60.0)
    assert counts == {"in_vain": 1}


def test_what_is_gone_already_is_deleted() -> None:
    client = Client()

    def gone(verb: str, key: Key) -> None:
        raise NotFound("", "pods", key.name)

    client.fails = gone
    told = Emit(made(), "SuccessfulDelete", "Deleted")
    counts = play(once(Delete(POD, _KEY, told=told)), client)
    assert counts == {"success": 1}
    assert client.events == []


def test_a_plan_is_looked_at_again_when_it_said_so() -> None:
    client, times = Client(), list[datetime]()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        times.append(now)
        return Plan(again_after=timedelta(hours=1))

    play(plan, client, seconds=3 * 3600.0 + 1)
    assert [(time - times[0]).total_seconds() for time in times] == [0, 3600, 7200, 10800]


def test_a_change_of_what_nobody_reads_concerns_nobody() -> None:
    async def scenario() -> list[int]:
        table, planned = Table(CONFIG_MAP), list[int]()
        table.put(Entry.of(CONFIG_MAP, made()))

        def plan(key: Key, view: View, now: datetime) -> Plan:
            planned.append(view.table(CONFIG_MAP).entries[key].revision)
            return NOTHING

        controller = Controller("test", (Watch(CONFIG_MAP, itself, lambda obj: obj.get("data")),), plan)
        runner = Runner(lambda _: Client(), {CONFIG_MAP: table}, LoopClock(), [controller])  # type: ignore[arg-type]
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        for revision, more in (("2", {}), ("3", {"data": {"a": "b"}}), ("4", {"data": {"a": "b"}, "immutable": True})):
            changed = made() | more
            changed["metadata"]["resourceVersion"] = revision
            table.put(Entry.of(CONFIG_MAP, changed))
            await asyncio.sleep(1)
        table.remove(_KEY)
        table.put(Entry.of(CONFIG_MAP, made()))
        await asyncio.sleep(1)
        running.cancel()
        return planned

    assert run(scenario()) == [1, 3, 1]


def test_a_plan_that_breaks_is_tried_again_and_breaks_nothing_else() -> None:
    client, times = Client(), list[datetime]()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        times.append(now)
        if len(times) < 3:
            raise ZeroDivisionError
        return once(*creates(1))(key, view, now) if len(times) == 3 else NOTHING

    counts = play(plan, client)
    assert counts == {"bug": 2, "success": 1}
    assert client.asked == ["create pods n0"]


class Laborious(LoopClock):
    """On it a plan can take a while: `spent` seconds by now."""

    spent = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.spent


def test_a_key_whose_plan_is_long_is_left_alone_for_a_while_but_hears_of_the_last_change() -> None:
    seen: list[str] = []

    async def scenario() -> None:
        clock, table = Laborious(), Table(CONFIG_MAP)

        def plan(key: Key, view: View, now: datetime) -> Plan:
            clock.spent += 0.05
            found = view.get(CONFIG_MAP, key)
            seen.append(found["metadata"]["resourceVersion"] if found else "")
            return NOTHING

        async def change_often() -> None:
            for revision in range(100):
                obj = made()
                obj["metadata"]["resourceVersion"] = str(revision)
                table.put(Entry.of(CONFIG_MAP, obj))
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)

        controller = Controller("test", (Watch(CONFIG_MAP, itself),), plan)
        runner = Runner(lambda _: Client(), {CONFIG_MAP: table}, clock, [controller])  # type: ignore[arg-type]
        running = asyncio.create_task(runner.run())
        await change_often()
        running.cancel()

    run(scenario())
    assert len(seen) <= 7
    assert seen[-1] == "99"
