"""What is kept up to date change by change is what one would find by counting anew."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pylet.server.scheduler.decide import Placement, decide
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.snapshot import Snapshot
from tests.server.scheduler.kit import HOST, ZONE, node, pod, snapshot_of

_APPS = ("web", "db")


def some_pod(name: str, chance: random.Random) -> Pending:
    app, other = chance.choice(_APPS), chance.choice(_APPS)
    selects = {"matchLabels": {"app": other}}
    spec: dict[str, Any] = {}
    match chance.randrange(6):
        case 0:
            term = {"labelSelector": selects, "topologyKey": chance.choice([HOST, ZONE])}
            kind = chance.choice(["podAffinity", "podAntiAffinity"])
            spec["affinity"] = {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
        case 1:
            term = {"labelSelector": selects, "topologyKey": chance.choice([HOST, ZONE])}
            kind = chance.choice(["podAffinity", "podAntiAffinity"])
            wish = {"weight": chance.randrange(1, 50), "podAffinityTerm": term}
            spec["affinity"] = {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
        case 2 | 3:
            constraint = {
                "maxSkew": chance.choice([1, 2]),
                "topologyKey": chance.choice([HOST, ZONE]),
                "whenUnsatisfiable": chance.choice(["DoNotSchedule", "ScheduleAnyway"]),
                "labelSelector": selects,
            }
            spec["topologySpreadConstraints"] = [constraint]
            if chance.random() < 0.5:
                spec["nodeSelector"] = {ZONE: chance.choice("xy")}
    return pod(name, cpu=chance.choice(["100m", "500m"]), labels={"app": app}, **spec)


def anew(snapshot: Snapshot, nodes: dict[str, Any], placed: dict[str, tuple[Pending, str]]) -> Snapshot:
    found = snapshot_of([nodes[name] for name in snapshot.nodes])
    for each, name in placed.values():
        found.put_pod(each, name)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_counting_on_is_counting_anew(seed: int) -> None:
    chance = random.Random(seed)
    snapshot = Snapshot()
    nodes: dict[str, Any] = {}
    placed: dict[str, tuple[Pending, str]] = {}
    for step in range(120):
        name = f"n{chance.randrange(5)}"
        match chance.randrange(8):
            case 0:
                labels = {ZONE: chance.choice("xyz")} if chance.random() < 0.8 else {}
                nodes[name] = node(name, cpu=chance.choice(["2", "4"]), labels=labels)
                snapshot.put_node(nodes[name])
            case 1 if step % 4 == 0:
                nodes.pop(name, None)
                snapshot.remove_node(name)
            case 2 if placed:
                gone = chance.choice(sorted(placed))
                del placed[gone]
                snapshot.remove_pod(gone)
            case _:
                wanted = some_pod(f"p{step}", chance)
                found = decide(wanted, snapshot, PROFILE, step, step)
                assert found == decide(wanted, anew(snapshot, nodes, placed), PROFILE, step, step)
                if isinstance(found, Placement):
                    placed[wanted.uid] = wanted, found.node
                    snapshot.put_pod(wanted, found.node)
    assert placed


def test_pods_of_ever_new_shapes_and_namespaces_are_not_remembered_for_ever() -> None:
    snapshot = snapshot_of([node("n1", labels={ZONE: "a"})])
    for number in range(3000):
        snapshot.domains_of(ZONE, number, lambda _: True)
        snapshot.remembered(("services", str(number)), 1, list)
    assert len(snapshot._domains) <= 256
    assert len(snapshot._read) <= 1024
    assert snapshot.domains_of(ZONE, 0, lambda _: True) == {"n1": "a"}
