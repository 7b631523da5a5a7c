"""One container's end that makes all of the pod begin anew: what is done, and what is told of it."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.actions import Reset, StartContainer, compute
from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.observed import Observed
from pylet.agent.kubelet.restart_all import REASON, to_reset
from pylet.agent.kubelet.status import Circumstances, pod_status
from pylet.api.object import Object, condition_of
from tests.agent.kubelet.builders import NOW, container, instance, observed, pod, terminating


def rule(action: str, *codes: int) -> Object:
    return {"action": action, "exitCodes": {"operator": "In", "values": list(codes)}}


RULES = [rule("Restart", 41), rule("RestartAllContainers", 41, 42)]
POD = pod(
    container("main", restartPolicy="Never", restartPolicyRules=RULES),
    container("other"),
    init=(container("setup"),),
    restartPolicy="Never",
)
RUNNING = [instance("main"), instance("other"), instance("setup", exit_code=0)]


def after(code: int) -> Observed:
    return observed(instance("main", exit_code=code), *RUNNING[1:])


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (after(42), ["other-0", "setup-0", "main-0"]),
        (after(41), []),
        (after(1), []),
        (observed(*RUNNING), []),
        (observed(instance("main", exit_code=42)), ["main-0"]),
        (observed(instance("main", restarts=1, exit_code=42), instance("main", exit_code=42)), ["main-0", "main-1"]),
        (observed(instance("main", restarts=1), instance("main", exit_code=42)), []),
    ],
    ids=["who asked goes last", "the first rule decides", "no rule", "nothing ended", "half way", "old ones", "before"],
)
def test_what_is_removed(seen: Observed, expected: list[str]) -> None:
    assert [found.id for found in to_reset(POD, seen)] == expected
    assert (compute(POD, seen, Backoff(), NOW).actions == (Reset(),)) is bool(expected)


def test_a_pod_that_ends_does_not_begin_anew() -> None:
    assert Reset() not in compute(terminating(POD), after(42), Backoff(), NOW).actions


def told(before: Object, seen: Observed) -> Object:
    return {**POD, "status": pod_status({**POD, "status": before}, seen, Circumstances(()), NOW)}


def restarting(of: Object) -> str:
    return str((condition_of(of, "AllContainersRestarting") or {}).get("status"))


@pytest.mark.parametrize("is_told", [True, False], ids=["each step told", "told when all run again"])
def test_what_is_told(*, is_told: bool) -> None:
    now = told({}, observed(*RUNNING))
    assert restarting(now) == "False"
    if is_told:
        now = told(now["status"], after(42))
        assert restarting(now) == "True"
        now = told(now["status"], observed())
        assert restarting(now) == "False"
        assert condition_of(now, "Initialized")["status"] == "True"  # type: ignore[index]
        for status in (*now["status"]["containerStatuses"], *now["status"]["initContainerStatuses"]):
            assert status["state"]["waiting"]["reason"] == REASON
            assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 137)
    (first,) = compute(now, observed(), Backoff(), NOW).actions
    assert isinstance(first, StartContainer)
    assert (first.container["name"], first.restarts) == ("setup", 1)
    once_more = [
        instance("main", restarts=1),
        instance("other", restarts=1),
        instance("setup", exit_code=0, restarts=1),
    ]
    now = told(now["status"], observed(*once_more))
    assert now["status"]["phase"] == "Running"
    assert {status["restartCount"] for status in now["status"]["containerStatuses"]} == {1}


def test_while_init_containers_run_again_the_others_wait() -> None:
    now = told(told({}, observed(*RUNNING))["status"], observed())
    later = told(now["status"], observed(instance("setup", restarts=1)))
    assert later["status"]["phase"] == "Pending"
    assert [s["restartCount"] for s in later["status"]["containerStatuses"]] == [1, 1]
