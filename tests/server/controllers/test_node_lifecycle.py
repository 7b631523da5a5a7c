"""A node's conditions become taints; one that falls silent is Unknown and its pods leave in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pylet.api.kind import Kind
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object
from pylet.api.timestamps import format_micro, format_time
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import node_lifecycle, taint_eviction
from pylet.server.reconcile.plan import Count, Delete, Emit, Patch, Update

START = datetime(2026, 1, 1, tzinfo=UTC)
NODE_KEY, POD_KEY = Key("", "n"), Key("a", "p")
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"


def view(*objects: tuple[Kind, Object]) -> View:
    tables: dict[Kind, Table] = {}
    for kind, obj in objects:
        tables.setdefault(kind, Table(kind)).put(Entry.of(kind, obj))
    return View(tables)


def node(ready: str | None, *taints: tuple[str, str], **spec: Any) -> tuple[Kind, Object]:
    meta = {"name": "n", "uid": "u", "creationTimestamp": format_time(START)}
    if taints:
        spec["taints"] = [{"key": key, "effect": effect, "timeAdded": format_time(START)} for key, effect in taints]
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    return NODE, {"metadata": meta, "spec": spec, "status": {"conditions": conditions}}


def lease(renewed: datetime) -> tuple[Kind, Object]:
    meta = {"name": "n", "namespace": "kube-node-lease"}
    return LEASE, {"metadata": meta, "spec": {"renewTime": format_micro(renewed)}}


def pod(*tolerations: Object) -> tuple[Kind, Object]:
    meta = {"name": "p", "namespace": "a", "uid": "pu"}
    ready = [{"type": "Ready", "status": "True"}]
    return POD, {
        "metadata": meta,
        "spec": {"nodeName": "n", "tolerations": list(tolerations)},
        "status": {"conditions": ready},
    }


@pytest.mark.parametrize(
    ("given", "taints"),
    [
        pytest.param(node("True", (NOT_READY, "NoSchedule")), [], id="a ready node loses its taint"),
        pytest.param(node("True", ("mine", "NoSchedule")), None, id="a user's taint stays"),
        pytest.param(node(None), None, id="of a node that has not spoken yet nothing is known"),
        pytest.param(node(None, (NOT_READY, "NoSchedule")), [], id="a node that has not spoken yet is not marked"),
        pytest.param(node("False"), [NOT_READY], id="a node that is not ready is marked; the only one is not emptied"),
        pytest.param(node("Unknown"), [UNREACHABLE], id="a silent node is unreachable; the only one is not emptied"),
        pytest.param(
            node("True", unschedulable=True),
            ["node.kubernetes.io/unschedulable"],
            id="a cordoned node is unschedulable",
        ),
    ],
)
def test_taints_follow_conditions(given: tuple[Kind, Object], taints: list[str] | None) -> None:
    nodes = node_lifecycle.controller()
    nodes.plan(NODE_KEY, view(node("True"), lease(START)), START)  # it is known
    plan = nodes.plan(NODE_KEY, view(given, lease(START)), START)
    if taints is None:
        assert plan.actions == ()
    else:
        (update,) = plan.actions
        assert isinstance(update, Update)
        assert [taint["key"] for taint in update.object["spec"]["taints"]] == taints
    assert plan.again_after is not None


def test_a_silent_node_is_unknown_and_its_pods_not_ready() -> None:
    nodes = node_lifecycle.controller()
    seen = view(node("True"), lease(START), pod())
    assert nodes.plan(NODE_KEY, seen, START).again_after == node_lifecycle.GRACE
    on_node, on_pod = nodes.plan(NODE_KEY, seen, START + node_lifecycle.GRACE).actions
    assert isinstance(on_node, Patch)
    assert {c["status"] for c in on_node.patch["status"]["conditions"]} == {"Unknown"}
    assert isinstance(on_pod, Patch)
    assert on_pod.patch["status"]["conditions"][0]["status"] == "False"


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(days=1)])
def test_only_when_a_renewal_was_seen_counts(skew: timedelta) -> None:
    nodes = node_lifecycle.controller()
    for seconds in (0, 45, 90, 135):
        at = START + timedelta(seconds=seconds)
        plan = nodes.plan(NODE_KEY, view(node("True"), lease(at + skew)), at)
        assert plan.again_after == node_lifecycle.GRACE
    assert nodes.plan(NODE_KEY, view(node("True"), lease(at + skew)), at + node_lifecycle.GRACE).actions


def several(*ready: str, zone: str = "a") -> list[tuple[Kind, Object]]:
    found = []
    for number, status in enumerate(ready):
        _, one = node(status)
        labels = {"topology.kubernetes.io/zone": zone}
        found.append((NODE, {**one, "metadata": {**one["metadata"], "name": f"{zone}{number}", "labels": labels}}))
    return found


@pytest.mark.parametrize(
    ("picture", "emptied"),
    [
        pytest.param(several("True", "Unknown"), True, id="one of two"),
        pytest.param(several("True", "Unknown", "Unknown", "Unknown"), False, id="most of a small zone"),
        pytest.param(several(*["True"] * 20, *["Unknown"] * 40), True, id="most of a large zone, slowly"),
        pytest.param(several("Unknown", "Unknown"), False, id="all there are"),
        pytest.param([*several("Unknown", "Unknown"), *several("True", zone="b")], True, id="all of a zone"),
    ],
)
def test_how_many_are_silent_decides_whether_one_is_emptied(picture: list[tuple[Kind, Object]], emptied: bool) -> None:
    name = next(one["metadata"]["name"] for _, one in picture if one["status"]["conditions"][0]["status"] == "Unknown")
    actions = node_lifecycle.controller().plan(Key("", name), view(*picture), START).actions
    (update,) = [action for action in actions if isinstance(action, Update)]
    assert ("NoExecute" in {taint["effect"] for taint in update.object["spec"]["taints"]}) == emptied


def test_the_second_node_of_a_zone_waits() -> None:
    nodes, picture = node_lifecycle.controller(), view(*several("True", "True", "True", "Unknown", "Unknown"))
    assert nodes.plan(Key("", "a3"), picture, START).actions
    second = nodes.plan(Key("", "a4"), picture, START)
    (update,) = [action for action in second.actions if isinstance(action, Update)]
    assert {taint["effect"] for taint in update.object["spec"]["taints"]} == {"NoSchedule"}
    assert second.again_after == timedelta(seconds=10)


def test_a_node_that_is_emptied_stays_so_while_another_waits() -> None:
    nodes, picture = node_lifecycle.controller(), several("True", "True", "True", "Unknown", "Unknown")
    nodes.plan(Key("", "a3"), view(*picture), START)
    _, emptied = picture[3]
    taints = [{"key": UNREACHABLE, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
    picture[3] = NODE, {**emptied, "spec": {"taints": taints}}
    assert [one for one in nodes.plan(Key("", "a3"), view(*picture), START).actions if isinstance(one, Update)] == []


def test_where_all_were_lost_everybody_has_time_to_speak_once() -> None:
    nodes = node_lifecycle.controller()
    known = several("True", "Unknown", "True")
    unknown = [
        {"type": type_, "status": "Unknown"} for type_ in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    silence = [(kind, {**one, "status": {"conditions": unknown}}) for kind, one in known]
    lost, back = view(*silence), view(known[0], silence[1], known[2])
    for name in ("a0", "a1", "a2"):
        nodes.plan(Key("", name), lost, START)
    later = START + timedelta(hours=1)
    nodes.plan(Key("", "a1"), back, later)
    assert nodes.plan(Key("", "a2"), back, later).again_after == node_lifecycle.GRACE
    silent = later + node_lifecycle.GRACE
    nodes.plan(Key("", "a1"), back, silent)
    assert any(isinstance(action, Patch) for action in nodes.plan(Key("", "a2"), back, silent).actions)


def test_a_node_that_comes_back_wakes_those_that_are_not_ready() -> None:
    nodes = node_lifecycle.controller()
    keys = nodes.watches[0].keys
    picture = several("Unknown", "Unknown", "True")
    for name in ("a0", "a1", "a2"):
        nodes.plan(Key("", name), view(*picture), START)
    back = several("True")[0]
    assert [key.name for key in keys(Entry.of(*back), view(back, *picture[1:]))] == ["a0", "a1"]
    assert [key.name for key in keys(Entry.of(*picture[2]), view(*picture))] == ["a2"]


TOLERATED = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("tolerations", "leaves_at"),
    [
        pytest.param([], 0, id="at once"),
        pytest.param([{**TOLERATED, "tolerationSeconds": 300}], 300, id="after its toleration"),
        pytest.param([TOLERATED], None, id="never"),
    ],
)
def test_a_pod_leaves_a_tainted_node(tolerations: list[Object], leaves_at: int | None) -> None:
    seen = view(node("Unknown", (UNREACHABLE, "NoExecute")), pod(*tolerations))
    eviction = taint_eviction.controller()
    before = eviction.plan(POD_KEY, seen, START)
    if leaves_at is None:
        assert (before.actions, before.again_after) == ((), None)
        return
    if leaves_at:
        assert (before.actions, before.again_after) == ((), timedelta(seconds=leaves_at))
    late = 3 if leaves_at else 0
    later = START + timedelta(seconds=leaves_at + late)
    marked, delete, *counts = eviction.plan(POD_KEY, seen, later).actions
    assert isinstance(marked, Patch)
    assert marked.patch["status"]["conditions"][-1]["reason"] == "DeletionByTaintManager"
    assert isinstance(delete, Delete)
    assert (delete.key, delete.uid) == (POD_KEY, "pu")
    assert [each.value for each in counts if isinstance(each, Count)] == [1, late]


def bound(seconds: int) -> Object:
    return {**TOLERATED, "tolerationSeconds": seconds}


@pytest.mark.parametrize(
    ("then", "leaves_at"),
    [
        pytest.param([bound(600)], 300, id="a longer toleration comes too late"),
        pytest.param([bound(60)], 300, id="so does a shorter one"),
        pytest.param([TOLERATED], None, id="one for ever saves it"),
        pytest.param([], 100, id="none at all ends it at once"),
    ],
)
def test_when_a_waiting_pod_leaves_is_settled(then: list[Object], leaves_at: int | None) -> None:
    eviction, tainted = taint_eviction.controller(), node("Unknown", (UNREACHABLE, "NoExecute"))
    assert eviction.plan(POD_KEY, view(tainted, pod(bound(300))), START).again_after == timedelta(seconds=300)
    changed = eviction.plan(POD_KEY, view(tainted, pod(*then)), START + timedelta(seconds=100))
    match leaves_at:
        case None:
            assert [action.message for action in changed.actions if isinstance(action, Emit)] == [
                "Cancelling deletion of Pod a/p"
            ]
        case 100:
            assert any(isinstance(action, Delete) for action in changed.actions)
        case _:
            assert (changed.actions, changed.again_after) == ((), timedelta(seconds=leaves_at - 100))


def test_a_pod_that_comes_to_a_tainted_node_may_stay_as_long_as_others() -> None:
    kind, late = pod(bound(300))
    came = format_time(START + timedelta(hours=1))
    late["status"]["conditions"] = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": came}]
    tainted = view(node("Unknown", (UNREACHABLE, "NoExecute")), (kind, late))
    found = taint_eviction.controller().plan(POD_KEY, tainted, START + timedelta(hours=1))
    assert (found.actions, found.again_after) == ((), timedelta(seconds=300))


@pytest.mark.parametrize("hours", [1, 24 * 400, -1, -24])
def test_a_clock_that_is_set_makes_no_node_silent(hours: float) -> None:
    there, controller = view(node("True"), lease(START)), node_lifecycle.controller()
    assert controller.time_set is not None
    controller.plan(NODE_KEY, there, START)
    controller.time_set(timedelta(hours=hours))
    then = START + timedelta(hours=hours)
    early = controller.plan(NODE_KEY, there, then + timedelta(seconds=40))
    assert (early.actions, early.again_after) == ((), timedelta(seconds=10))
    late = controller.plan(NODE_KEY, there, then + timedelta(seconds=51))
    assert any(isinstance(action, Patch) and action.kind is NODE for action in late.actions)


@pytest.mark.parametrize(
    "changed",
    [{"deletionTimestamp": format_time(START)}, {"nodeName": ""}],
    ids=["goes already", "is nowhere"],
)
def test_only_a_pod_that_stays_on_a_node_leaves_it(changed: Object) -> None:
    _, one = pod()
    left = {**one, "metadata": {**one["metadata"], **changed}, "spec": {**one["spec"], **changed}}
    tainted = node("Unknown", (UNREACHABLE, "NoExecute"))
    assert taint_eviction.controller().plan(POD_KEY, view(tainted, (POD, left)), START).actions == ()


@pytest.mark.parametrize(("taints", "concerned"), [([], []), ([(UNREACHABLE, "NoExecute")], [POD_KEY])])
def test_a_node_with_taints_concerns_its_pods(taints: list[tuple[str, str]], concerned: list[Key]) -> None:
    watch = next(watch for watch in taint_eviction.controller().watches if watch.kind is NODE)
    tainted = node("Unknown", *taints)
    assert list(watch.keys(Entry.of(*tainted), view(tainted, pod()))) == concerned
