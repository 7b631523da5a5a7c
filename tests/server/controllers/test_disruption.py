"""PodDisruptionBudgets: how many pods may be evicted, table by table."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Key, Object
from pylet.server.controllers import disruption, stale_disruption
from pylet.server.reconcile.plan import Emit, Patch, Update
from tests.server.controllers.picture import NOW, STORED, controlled_by, obj, pod, view

KEY = Key("default", "web")
JUST_NOW, LONG_AGO = "2026-01-01T11:59:30Z", "2026-01-01T11:57:00Z"
PLAN = disruption.controller(STORED).plan


def budget(status: Object | None = None, **spec: Any) -> Object:
    spec = {"selector": {"matchLabels": {"app": "web"}}, **spec}
    return obj("policy/v1", "PodDisruptionBudget", "web", meta={"generation": 1}, spec=spec, status=status or {})


def replica_set(replicas: int, **meta: Any) -> Object:
    return obj("apps/v1", "ReplicaSet", "rs", meta=meta, spec={"replicas": replicas})


DEPLOYMENT = obj("apps/v1", "Deployment", "web", spec={"replicas": 10})


def status(*objects: Object) -> Object:
    (update,) = [action for action in PLAN(KEY, view(*objects), NOW).actions if isinstance(action, Update)]
    return dict(update.object["status"])


def counts(*objects: Object) -> tuple[int, int, int, int]:
    found = status(*objects)
    return found["expectedPods"], found["desiredHealthy"], found["currentHealthy"], found["disruptionsAllowed"]


@pytest.mark.parametrize(
    ("spec", "size", "ready", "expected"),
    [
        pytest.param({"minAvailable": 1}, 3, 3, (3, 1, 3, 2), id="a number counts the pods there are"),
        pytest.param({"minAvailable": 3}, 3, 2, (3, 3, 2, 0), id="fewer than needed: none"),
        pytest.param({"minAvailable": "50%"}, 3, 3, (3, 2, 3, 1), id="a percentage is rounded up"),
        pytest.param({"maxUnavailable": 1}, 5, 3, (5, 4, 3, 0), id="the scale, not the pods, is what should be"),
        pytest.param({"maxUnavailable": "34%"}, 3, 3, (3, 1, 3, 2), id="unavailable percentages are rounded up too"),
        pytest.param({"maxUnavailable": 9}, 3, 3, (3, 0, 3, 3), id="more than all is all"),
        pytest.param({}, 3, 3, (0, 0, 3, 0), id="a budget that says nothing allows nothing"),
    ],
)
def test_what_a_budget_allows(spec: Object, size: int, ready: int, expected: tuple[int, int, int, int]) -> None:
    owner = replica_set(size)
    pods = [pod(f"p{number}", owner=owner, ready=number < ready) for number in range(3)]
    assert counts(budget(**spec), owner, *pods) == expected


def test_a_replica_sets_deployment_says_how_many() -> None:
    owner = replica_set(3, ownerReferences=controlled_by(DEPLOYMENT))
    assert counts(budget(maxUnavailable=2), DEPLOYMENT, owner, pod("p", owner=owner)) == (10, 8, 1, 0)


def test_pods_without_a_controller_are_told_of() -> None:
    actions = PLAN(KEY, view(budget(maxUnavailable=1), pod("p")), NOW).actions
    (told,) = [action for action in actions if isinstance(action, Emit)]
    assert told.reason == "UnmanagedPods"
    assert "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]" in told.message


@pytest.mark.parametrize("spec", [{}, {"minAvailable": 1}], ids=["nothing", "a number"])
def test_who_needs_no_scale_needs_no_controller(spec: Object) -> None:
    (update,) = PLAN(KEY, view(budget(**spec), pod("p")), NOW).actions
    assert isinstance(update, Update)


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (obj("batch/v1", "Job", "j", spec={}), "jobs.batch does not implement the scale subresource"),
        (obj("x.io/v1", "Thing", "t"), 'no matches for kind "Thing" in version "x.io/v1"'),
        (obj("apps/v1", "ReplicaSet", "gone", spec={}), 'found no controllers for pod "p"'),
    ],
)
def test_where_nobody_can_say_nothing_is_allowed(owner: Object, why: str) -> None:
    there = [owner] if owner["kind"] == "Job" else []
    found = status(budget({"disruptionsAllowed": 3}, maxUnavailable=1), *there, pod("p", owner=owner))
    assert found["disruptionsAllowed"] == 0
    assert [(c["reason"], c["message"]) for c in found["conditions"]] == [("SyncFailed", why)]


def test_an_evicted_pod_counts_as_gone_for_two_minutes() -> None:
    noted = {"disruptedPods": {"a": JUST_NOW, "b": LONG_AGO, "gone": JUST_NOW}}
    picture = view(budget(noted, minAvailable=1), pod("a"), pod("b"), pod("c"))
    plan = PLAN(KEY, picture, NOW)
    told, update = plan.actions
    assert isinstance(told, Emit)
    assert isinstance(update, Update)
    assert (told.reason, told.about["metadata"]["name"]) == ("NotDeleted", "b")
    assert update.object["status"]["disruptedPods"] == {"a": JUST_NOW}
    assert update.object["status"]["currentHealthy"] == 2
    assert plan.again_after is not None
    assert plan.again_after.total_seconds() == 90


def test_the_plan_of_a_settled_budget_is_empty() -> None:
    pods = [pod("a"), pod("b")]
    settled = budget(status(budget(minAvailable=1), *pods), minAvailable=1)
    assert PLAN(KEY, view(settled, *pods), NOW).actions == ()


@pytest.mark.parametrize(
    ("since", "reason", "resets"),
    [
        (LONG_AGO, "EvictionByEvictionAPI", True),
        (JUST_NOW, "EvictionByEvictionAPI", False),
        (LONG_AGO, "TerminationByKubelet", False),
    ],
)
def test_a_disruption_that_never_came_is_taken_back(since: str, reason: str, resets: bool) -> None:
    found = pod("p", generation=2)
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "lastTransitionTime": since}
    found["status"]["conditions"].append(condition)
    actions = stale_disruption.plan(Key("default", "p"), view(found), NOW).actions
    assert bool(actions) == resets
    for action in actions:
        assert isinstance(action, Patch)
        _, changed = action.patch["status"]["conditions"]
        assert (changed["status"], changed.get("reason"), changed["observedGeneration"]) == ("False", None, 2)


def test_a_pod_of_several_budgets_is_told_once_by_the_first() -> None:
    plan, mine = disruption.controller(STORED).plan, budget(minAvailable=1)
    other = {**mine, "metadata": {**mine["metadata"], "name": "zeta", "uid": "zeta"}}
    seen = view(mine, other, pod("p"))

    def said(name: str) -> list[str]:
        actions = plan(Key("default", name), seen, NOW).actions
        return [each.message for each in actions if isinstance(each, Emit) and each.about["kind"] == "Pod"]

    words = 'Pod "default"/"p" matches multiple PodDisruptionBudgets.  Chose "web" arbitrarily.'
    assert [said("web"), said("web"), said("zeta")] == [[words], [], []]
