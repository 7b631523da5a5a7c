"""Which evictions a disruption budget allows, and what they cost it."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest

from pylet.api.errors import ApiError, TooManyRequests
from pylet.api.object import Object, condition_of
from pylet.server.registry import eviction

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STATUS = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1}


def pod(phase: str = "Running", *, ready: str = "True", **meta: object) -> Object:
    conditions = [{"type": "Ready", "status": ready}]
    meta = {"name": "p", "labels": {"a": "b"}, **meta}
    return {"metadata": meta, "spec": {}, "status": {"phase": phase, "conditions": conditions}}


def budget(policy: str = "", *, conditions: list[Object] | None = None, **status: int) -> Object:
    spec: Object = {"selector": {"matchLabels": {"a": "b"}}}
    spec |= {"unhealthyPodEvictionPolicy": policy} if policy else {}
    shown = STATUS | status | ({"conditions": conditions} if conditions else {})
    return {"metadata": {"name": "d", "generation": 1}, "spec": spec, "status": shown}


@pytest.mark.parametrize(
    ("one", "ignored"),
    [
        pytest.param(pod(), False, id="a running pod counts"),
        pytest.param(pod("Pending"), True, id="one that never started does not"),
        pytest.param(pod("Failed"), True, id="nor one that ended"),
        pytest.param(pod(deletionTimestamp="2026-01-01T00:00:00Z"), True, id="nor one that goes anyway"),
    ],
)
def test_ignored_budgets(one: Object, ignored: bool) -> None:
    assert eviction.ignores_budgets(one) is ignored


@pytest.mark.parametrize(
    ("one", "of", "spared"),
    [
        pytest.param(pod(), budget(), False, id="a ready pod costs a disruption"),
        pytest.param(pod(ready="False"), budget(), True, id="an unready one none while enough are healthy"),
        pytest.param(pod(ready="False"), budget(currentHealthy=0), False, id="but one when too few are"),
        pytest.param(pod(ready="False"), budget(desiredHealthy=0), False, id="or none need be"),
        pytest.param(pod(ready="False"), budget("AlwaysAllow", currentHealthy=0), True, id="unless always allowed"),
    ],
)
def test_unready_pods(one: Object, of: Object, spared: bool) -> None:
    assert eviction.spares(one, of) is spared


def test_a_disruption_is_spent_and_the_last_one_says_so() -> None:
    after = eviction.spent(budget(), "p", NOW)
    assert after["status"]["disruptionsAllowed"] == 0
    assert after["status"]["disruptedPods"] == {"p": "2026-01-02T00:00:00Z"}
    condition = condition_of(after, "DisruptionAllowed")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "InsufficientPods")


@pytest.mark.parametrize(
    ("before", "since"), [("True", "2026-01-02T00:00:00Z"), ("False", "2025-12-31T00:00:00Z")], ids=["turns", "stays"]
)
def test_the_time_of_that_is_when_it_turned(before: str, since: str) -> None:
    known = {"type": "DisruptionAllowed", "status": before, "lastTransitionTime": "2025-12-31T00:00:00Z"}
    condition = condition_of(eviction.spent(budget(conditions=[known]), "p", NOW), "DisruptionAllowed")
    assert condition is not None
    assert (condition["status"], condition["lastTransitionTime"]) == ("False", since)


SYNC_FAILED = {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "no scale"}


@pytest.mark.parametrize(
    ("of", "says", "retry_seconds"),
    [
        pytest.param(
            budget(disruptionsAllowed=0, currentHealthy=1), "needs 1 healthy pods and has 1 currently", None, id="few"
        ),
        pytest.param(budget(disruptionsAllowed=0), "does not allow evicting pods currently", None, id="none allowed"),
        pytest.param(budget(observedGeneration=0), "is still being processed by the server.", 10, id="not counted yet"),
        pytest.param(
            budget(disruptionsAllowed=0, conditions=[SYNC_FAILED]),
            "does not allow evicting pods currently because it failed sync: no scale",
            None,
            id="not countable",
        ),
    ],
)
def test_refusals(of: Object, says: str, retry_seconds: int | None) -> None:
    before = deepcopy(of)
    with pytest.raises(TooManyRequests) as refused:
        eviction.spent(of, "p", NOW)
    assert refused.value.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused.value.details is not None
    assert refused.value.details["causes"] == [
        {"reason": "DisruptionBudget", "message": f"The disruption budget d {says}"}
    ]
    assert refused.value.details.get("retryAfterSeconds") == retry_seconds
    assert before["status"]["disruptionsAllowed"] == of["status"]["disruptionsAllowed"]


def test_two_budgets_are_one_too_many() -> None:
    assert eviction.budget_of(pod(labels={}), [budget()]) is None
    with pytest.raises(ApiError, match="more than one PodDisruptionBudget"):
        eviction.budget_of(pod(), [budget(), budget()])
