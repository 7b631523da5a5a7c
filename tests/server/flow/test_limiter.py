"""Priority and fairness: who falls under which rule, who gets a seat, who waits and who is turned away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from pylet.api import flowcontrol
from pylet.api.kinds.flowschema import KIND as FLOW_SCHEMA
from pylet.api.kinds.prioritylevelconfiguration import KIND as PRIORITY_LEVEL
from pylet.client.view import Entry, Table
from pylet.server.auth.attributes import Attributes
from pylet.server.flow import Limiter, Rejected, Seat, standing
from pylet.server.flow.classify import precedence, schema_of
from pylet.server.flow.standing import LevelState, Standing
from pylet.server.registry import User

JOE = User("joe", ("system:authenticated",))
ADMIN = User("admin", ("system:masters", "system:authenticated"))
NODE = User("system:node:n", ("system:nodes", "system:authenticated"))
ROBOT = User("system:serviceaccount:a:robot", ("system:serviceaccounts", "system:authenticated"))
PODS = {"version": "v1", "resource": "pods"}


def tables(*changed: dict[str, Any]) -> dict[Any, Table]:
    """What every cluster starts with, and objects of the test's own."""
    found = {FLOW_SCHEMA: Table(FLOW_SCHEMA), PRIORITY_LEVEL: Table(PRIORITY_LEVEL)}
    by_name = {kind.name: kind for kind in found}
    for number, obj in enumerate([*flowcontrol.objects(), *changed]):
        kind = by_name[obj["kind"]]
        found[kind].put(Entry.of(kind, {**obj, "metadata": {**obj["metadata"], "uid": f"u{number}"}}))
    return found


def level(name: str, **limited: Any) -> dict[str, Any]:
    return {
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": {"borrowingLimitPercent": 0, **limited}},
    }


@pytest.mark.parametrize(
    ("asked", "schema"),
    [
        (Attributes(ADMIN, "get", **PODS), "exempt"),
        (Attributes(JOE, "get", path="/healthz"), "probes"),
        (Attributes(JOE, "get", **PODS, namespace="a"), "global-default"),
        (Attributes(ROBOT, "get", **PODS, namespace="a"), "service-accounts"),
        (Attributes(NODE, "update", "", "v1", "nodes", "status"), "system-node-high"),
        (Attributes(NODE, "update", "coordination.k8s.io", "v1", "leases", "", "kube-node-lease"), "system-node-high"),
        (Attributes(NODE, "get", **PODS, namespace="a"), "system-nodes"),
        (Attributes(User("x"), "get", **PODS), None),
    ],
)
def test_the_first_schema_that_matches(asked: Attributes, schema: str | None) -> None:
    schemas = sorted((e.object for e in tables()[FLOW_SCHEMA].entries.values()), key=precedence)
    found = schema_of(schemas, asked)
    assert (found and found["metadata"]["name"]) == schema


async def seats(limiter: Limiter, user: User, count: int, namespace: str = "a") -> list[Seat]:
    asked = Attributes(user, "get", **PODS, namespace=namespace)
    return [await asyncio.wait_for(limiter.enter(asked), 60) for _ in range(count)]


async def settle() -> None:
    """Let everybody go as far as they get by themselves."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_long_paths_are_not_remembered() -> None:
    limiter = Limiter(tables().__getitem__)
    for number in range(3):
        for path in (f"/api/{number}", f"/api/{number}{'x' * 1000}"):
            (await limiter.enter(Attributes(JOE, "get", path=path))).leave()
    assert len(limiter._found) == 3


async def test_exempt_requests_are_never_counted() -> None:
    limiter = Limiter(tables().__getitem__, seats=1)
    found = await seats(limiter, ADMIN, 100)
    assert dict(found[0].headers).keys() == {"X-Kubernetes-PF-FlowSchema-UID", "X-Kubernetes-PF-PriorityLevel-UID"}


async def test_a_level_lends_what_it_does_not_use_but_keeps_its_own() -> None:
    limiter = Limiter(tables().__getitem__, seats=245)  # as many as there are shares
    await seats(limiter, JOE, 245)
    waiting = asyncio.ensure_future(seats(limiter, JOE, 1))
    await settle()
    assert not waiting.done()
    assert len(await seats(limiter, ROBOT, 100)) == 100, "service accounts' own seats are theirs"
    waiting.cancel()


async def test_who_waits_comes_in_when_somebody_leaves_and_flows_take_turns() -> None:
    queues = level("global-default", nominalConcurrencyShares=1, limitResponse={"type": "Queue"})
    limiter = Limiter(tables(queues).__getitem__, seats=904)  # four seats for the level's one of 226 shares
    taken = await seats(limiter, JOE, 4)
    order: list[str] = []

    async def ask(user: User) -> None:
        (await limiter.enter(Attributes(user, "get", **PODS)))
        order.append(user.name)

    users = [JOE, JOE, JOE, User("ann", JOE.groups)]
    tasks = [asyncio.ensure_future(ask(user)) for user in users]
    await asyncio.sleep(0)
    for seat in taken:
        seat.leave()
        await settle()
    assert order == ["joe", "ann", "joe", "joe"]
    await asyncio.gather(*tasks)


async def test_a_full_queue_turns_away() -> None:
    queuing = {"queues": 1, "handSize": 1, "queueLengthLimit": 2}
    limited = level("global-default", nominalConcurrencyShares=1, limitResponse={"type": "Queue", "queuing": queuing})
    limiter = Limiter(tables(limited).__getitem__, seats=100)
    await seats(limiter, JOE, 1)
    waiting = [asyncio.ensure_future(seats(limiter, JOE, 1)) for _ in range(2)]
    await settle()
    with pytest.raises(Rejected):
        await seats(limiter, JOE, 1)
    for task in waiting:
        task.cancel()


async def test_a_level_that_rejects_does_not_let_wait() -> None:
    rejects = level("global-default", nominalConcurrencyShares=1, limitResponse={"type": "Reject"})
    limiter = Limiter(tables(rejects).__getitem__, seats=100)
    (seat,) = await seats(limiter, JOE, 1)
    with pytest.raises(Rejected):
        await seats(limiter, JOE, 1)
    seat.leave()
    seat.leave()
    await seats(limiter, JOE, 1)
    with pytest.raises(Rejected):
        await seats(limiter, JOE, 1)


async def test_changed_objects_count_at_once() -> None:
    found = tables(level("global-default", nominalConcurrencyShares=1, limitResponse={"type": "Reject"}))
    limiter = Limiter(found.__getitem__, seats=100)
    await seats(limiter, JOE, 1)
    more = level("global-default", nominalConcurrencyShares=1000, limitResponse={"type": "Reject"})
    found[PRIORITY_LEVEL].put(Entry.of(PRIORITY_LEVEL, {**more, "metadata": {**more["metadata"], "uid": "u"}}))
    assert len(await seats(limiter, JOE, 50)) == 50


def test_the_metrics_tell_how_many_seats_each_level_has() -> None:
    lines = list(Limiter(tables(level("mine", nominalConcurrencyShares=245)).__getitem__, seats=980).metrics())
    name = "apiserver_flowcontrol_nominal_limit_seats"
    assert f"# TYPE {name} gauge" in lines
    assert {f'{name}{{priority_level="{each}"}} {seats}' for each, seats in {"exempt": 0, "mine": 490}.items()} < set(
        lines
    )


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split(",")] for line in table.splitlines()]


async def test_who_sits_and_who_waits_is_shown_in_tables() -> None:
    queues = level("global-default", nominalConcurrencyShares=1, limitResponse={"type": "Queue"})
    limiter = Limiter(tables(queues).__getitem__, seats=226)  # one seat
    (taken,) = await seats(limiter, JOE, 1, "b")
    waiting = [asyncio.ensure_future(seats(limiter, user, 1)) for user in (JOE, JOE, User("ann", JOE.groups))]
    await settle()
    states = limiter.states(datetime(2026, 1, 1, tzinfo=UTC))
    head, *found = rows(standing.priority_levels(states))
    assert head[0] == "PriorityLevelName"
    assert found == sorted(found)
    assert ["global-default", "2", "false", "false", "3", "1", "1", "0", "0", "0"] in found
    assert ["exempt", "0", "true", "false", "0", "0", "0", "0", "0", "0"] in found
    assert [row[:3] for row in rows(standing.queues(states))[1:]] == [
        ["global-default", "0", "2"],
        ["global-default", "1", "1"],
    ]
    shown = [
        (*row[:5], row[9] == "0001-01-01T00:00:00Z", *row[10:])
        for row in rows(standing.requests(states, details=True))[1:]
    ]
    path = ("get", "/api/v1/namespaces/a/pods", "a", "", "v1", "pods", "")
    flow = ("global-default", "global-default")
    assert shown == [
        (*flow, "0", "0", "joe", True, "joe", *path),
        (*flow, "0", "1", "joe", True, "joe", *path),
        (*flow, "1", "0", "ann", True, "ann", *path),
        (*flow, "-1", "-1", "joe", False, "joe", "get", "/api/v1/namespaces/b/pods", "b", "", "v1", "pods", ""),
    ]
    waiting[0].cancel()
    await settle()
    taken.leave()
    await waiting[2]  # the flows take turns
    table = rows(standing.priority_levels(limiter.states(datetime.now(UTC))))
    assert ["global-default", "1", "false", "false", "1", "1", "2", "1", "0", "1"] in table
    waiting[1].cancel()


def test_the_tables_are_laid_out_as_upstreams_are() -> None:
    at = datetime(2026, 11, 22, 6, 14, 15, 207487, tzinfo=UTC)
    asked = Attributes(ADMIN, "get", path="/debug")
    states = [LevelState("exempt", [], [Standing("exempt", "", asked, at, at)], 9300, 0, 0, 0)]
    assert standing.priority_levels(states) == (
        "PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing, WaitingRequests, ExecutingRequests, "
        "DispatchedRequests, RejectedRequests, TimedoutRequests, CancelledRequests\n"
        "exempt,            0,            false,  false,       0,               1,                 "
        "9300,               0,                0,                0\n"
    )
    assert standing.requests(states, details=False) == (
        "PriorityLevelName, FlowSchemaName, QueueIndex, RequestIndexInQueue, FlowDistingsher, ArriveTime,"
        "                  InitialSeats, FinalSeats, AdditionalLatency, StartTime\n"
        "exempt,            exempt,         -1,         -1,                  ,                "
        "2026-11-22T06:14:15.207487Z, 1,            0,          0s,                2026-11-22T06:14:15.207487Z\n"
    )
