"""What is done next for a pod, case by case."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pylet.agent.kubelet.actions import (
    Action,
    ResizeContainer,
    ResizePod,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopPod,
    backoff_key,
    compute,
    is_held_back,
)
from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.observed import GROUP, Observed, Probed
from pylet.api.object import Object
from pylet.cri.messages import ContainerState
from tests.agent.kubelet.builders import NOW, container, instance, observed, pod, sidecar, terminating

SOME, MORE = {"requests": {"cpu": "100m"}}, {"requests": {"cpu": "200m"}}
ANEW = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
LIMITED: Object = {"limits": {"cpu": "0.2"}}
RULE = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
INIT, SIDECAR = container("init"), sidecar("side")
PROBED_SIDECAR = sidecar("side", startupProbe={"exec": {"command": ["true"]}})


def words(action: Action) -> str:
    match action:
        case StartSandbox(attempt):
            return f"sandbox {attempt}"
        case StartContainer(spec, restarts):
            return f"start {spec['name']} {restarts}"
        case StopContainer(_, name, why, grace):
            return f"stop {name}: {why}" + (f" in {grace}" if grace is not None else "")
        case StopPod(reason, _):
            return f"stop pod {reason}".strip()
        case ResizeContainer(id_, spec):
            return f"resize {id_} to {spec['resources']['requests']['cpu']}"
        case ResizePod(running):
            return f"resize pod and {', '.join(running)}"


def plan(of: Object, seen: Observed, backoff: Backoff | None = None) -> list[str]:
    return [words(action) for action in compute(of, seen, backoff or Backoff(), NOW).actions]


@pytest.mark.parametrize(
    ("of", "seen", "expected"),
    [
        pytest.param(pod(), Observed(), ["sandbox 0"], id="a new pod gets a sandbox"),
        pytest.param(pod(), observed(), ["start main 0"], id="a sandbox gets its containers"),
        pytest.param(pod(), observed(instance()), [], id="what runs is left alone"),
        pytest.param(pod(), observed(sandbox=False), ["sandbox 1"], id="a lost sandbox is made again"),
        pytest.param(
            pod(),
            observed(instance(), sandbox=False),
            ["stop pod"],
            id="what outlived its sandbox is stopped first",
        ),
        pytest.param(
            pod(container("a"), container("b")),
            observed(instance("a")),
            ["start b 0"],
            id="each container is started by itself",
        ),
        pytest.param(
            pod(),
            observed(instance(state=ContainerState.CREATED)),
            ["start main 1"],
            id="a container that never started is replaced",
        ),
        pytest.param(pod(), observed(instance(exit_code=0)), ["start main 1"], id="Always restarts success"),
        pytest.param(
            pod(restartPolicy="OnFailure"), observed(instance(exit_code=1)), ["start main 1"], id="OnFailure: failure"
        ),
        pytest.param(
            pod(restartPolicy="OnFailure"), observed(instance(exit_code=0)), ["stop pod"], id="OnFailure: success"
        ),
        pytest.param(pod(restartPolicy="Never"), observed(instance(exit_code=1)), ["stop pod"], id="Never: over"),
        pytest.param(
            pod(restartPolicy="Never"),
            observed(instance(exit_code=1), sandbox=False),
            [],
            id="a pod that is over rests",
        ),
        pytest.param(
            pod(container("a"), container("b"), restartPolicy="Never"),
            observed(instance("a", exit_code=0), instance("b")),
            [],
            id="Never: one still runs",
        ),
        pytest.param(terminating(pod()), observed(instance()), ["stop pod"], id="a deleted pod is stopped"),
        pytest.param(terminating(pod()), observed(sandbox=False), [], id="a deleted pod that has stopped rests"),
        pytest.param(
            pod(container(image="registry.example/app:2")),
            observed(instance()),
            ["stop main: Container main definition changed, will be restarted"],
            id="another image replaces the container",
        ),
        pytest.param(pod(init=(INIT,)), observed(), ["start init 0"], id="init containers come first"),
        pytest.param(pod(init=(INIT,)), observed(instance("init")), [], id="and are waited for"),
        pytest.param(
            pod(init=(INIT, container("second"))),
            observed(instance("init", exit_code=0)),
            ["start second 0"],
            id="init containers run one after the other",
        ),
        pytest.param(
            pod(init=(INIT,)), observed(instance("init", exit_code=0)), ["start main 0"], id="then the app's start"
        ),
        pytest.param(
            pod(init=(INIT,)), observed(instance("init", exit_code=1)), ["start init 1"], id="a failed init is repeated"
        ),
        pytest.param(
            pod(init=(INIT,), restartPolicy="Never"),
            observed(instance("init", exit_code=1)),
            ["stop pod"],
            id="Never: a failed init ends the pod",
        ),
        pytest.param(pod(init=(SIDECAR,)), observed(), ["start side 0"], id="a sidecar starts before the app"),
        pytest.param(
            pod(init=(SIDECAR,)), observed(instance("side")), ["start main 0"], id="a running sidecar lets it start"
        ),
        pytest.param(
            pod(init=(PROBED_SIDECAR,)), observed(instance("side")), [], id="a sidecar's start-up probe holds it back"
        ),
        pytest.param(
            pod(init=(PROBED_SIDECAR,)),
            observed(instance("side"), probed={"side-0": Probed(started=True)}),
            ["start main 0"],
            id="until it succeeds",
        ),
        pytest.param(
            pod(init=(SIDECAR,)),
            observed(instance("side", exit_code=0), instance()),
            ["start side 1"],
            id="a sidecar that ends is started again",
        ),
    ],
)
def test_next_actions(of: Object, seen: Observed, expected: list[str]) -> None:
    assert plan(of, seen) == expected


@pytest.mark.parametrize(
    ("fields", "probed", "policy", "expected"),
    [
        ({}, Probed(live=False), "Always", "stop main: Container main failed liveness probe, will be restarted"),
        ({}, Probed(started=False), "Always", "stop main: Container main failed startup probe, will be restarted"),
        ({}, Probed(live=False), "Never", "stop pod"),
        (
            {"livenessProbe": {"terminationGracePeriodSeconds": 3}},
            Probed(live=False),
            "Always",
            "stop main: Container main failed liveness probe, will be restarted in 3",
        ),
    ],
    ids=["liveness", "start-up", "liveness under Never", "with a grace period of its own"],
)
def test_a_failed_probe_stops_the_container(fields: Object, probed: Probed, policy: str, expected: str) -> None:
    of = pod(container(**fields), restartPolicy=policy)
    assert plan(of, observed(instance(), probed={"main-0": probed})) == [expected]


def test_an_unready_container_is_left_running() -> None:
    assert plan(pod(), observed(instance(), probed={"main-0": Probed(ready=False)})) == []


def test_a_second_crash_waits_and_says_so() -> None:
    backoff = Backoff()
    backoff.failed(backoff_key(container()), NOW, NOW - timedelta(seconds=5))
    found = compute(pod(), observed(instance(exit_code=1, restarts=1, ended_ago=4)), backoff, NOW)
    assert found.actions == ()
    assert found.again_at == NOW + timedelta(seconds=6)
    assert found.waiting == {
        "main": ("CrashLoopBackOff", "back-off 10s restarting failed container=main pod=web_default(u1)")
    }


def test_a_crash_after_its_wait_is_restarted() -> None:
    backoff = Backoff()
    backoff.failed(backoff_key(container()), NOW, NOW - timedelta(seconds=30))
    assert plan(pod(), observed(instance(exit_code=1, restarts=1, ended_ago=11)), backoff) == ["start main 2"]


def test_the_deadline_ends_a_pod_and_is_waited_for() -> None:
    of = pod(activeDeadlineSeconds=10)
    of["status"]["startTime"] = "2026-01-02T03:04:00Z"
    assert compute(of, observed(instance()), Backoff(), NOW).again_at == NOW + timedelta(seconds=5)
    of["status"]["startTime"] = "2026-01-02T03:03:55Z"
    assert plan(of, observed(instance())) == ["stop pod DeadlineExceeded"]


def test_back_off_doubles_to_five_minutes_and_is_forgotten() -> None:
    backoff, now, waits = Backoff(), NOW, []
    for _ in range(7):
        now = backoff.until("main", now, now) or now
        backoff.failed("main", now, now)
        waits.append(int(backoff.wait("main").total_seconds()))
    assert waits == [10, 20, 40, 80, 160, 300, 300]
    assert backoff.until("main", now + timedelta(minutes=11), now + timedelta(minutes=11)) is None
    backoff.failed("main", now + timedelta(minutes=11), now + timedelta(minutes=11))
    assert backoff.wait("main") == timedelta(seconds=10)


def test_a_back_off_ends_when_the_clock_is_put_back() -> None:
    backoff = Backoff()
    backoff.failed("main", NOW, NOW)
    assert backoff.until("main", NOW, NOW) == NOW + timedelta(seconds=10)
    assert backoff.until("main", NOW, NOW - timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("of", "seen", "expected"),
    [
        pytest.param(
            pod(init=(INIT,)),
            observed(instance("init", exit_code=0, sandbox="old"), instance(exit_code=137, sandbox="old")),
            ["start init 1"],
            id="in a new sandbox init containers run again",
        ),
        pytest.param(
            pod(container(restartPolicy="Never"), container("b")),
            observed(instance(exit_code=1), instance("b")),
            [],
            id="a container's own policy beats the pod's",
        ),
        pytest.param(
            pod(container(restartPolicy="Never", restartPolicyRules=[RULE]), container("b"), restartPolicy="Never"),
            observed(instance(exit_code=42), instance("b")),
            ["start main 1"],
            id="a rule for the exit code beats its policy",
        ),
        pytest.param(
            pod(container(restartPolicy="Never", restartPolicyRules=[RULE]), container("b"), restartPolicy="Never"),
            observed(instance(exit_code=41), instance("b")),
            [],
            id="a rule for another exit code does not",
        ),
        pytest.param(
            pod(ephemeralContainers=[container("debug")]),
            observed(instance()),
            ["start debug 0"],
            id="an ephemeral container is started beside what runs",
        ),
        pytest.param(
            pod(ephemeralContainers=[container("debug")]),
            observed(instance(), instance("debug", exit_code=1)),
            [],
            id="and never again",
        ),
        pytest.param(
            {**pod(), "status": {"phase": "Failed"}}, observed(instance()), ["stop pod"], id="a failed pod is stopped"
        ),
        pytest.param(
            pod(container(resources=MORE)),
            observed(instance(), enforced={"main-0": SOME}),
            ["resize main-0 to 200m"],
            id="other resources are given in place",
        ),
        pytest.param(
            pod(container(resources=MORE, resizePolicy=ANEW)),
            observed(instance(), enforced={"main-0": SOME}),
            ["stop main: Container main resize requires restart"],
            id="or with a restart, where the container asks for one",
        ),
        pytest.param(
            pod(restartPolicy="OnFailure"),
            observed(instance(exit_code=0), anew={"main-0"}),
            ["start main 1"],
            id="who was told to end for another to follow is followed, however it ended",
        ),
        pytest.param(
            pod(init=(INIT,), restartPolicy="Never"),
            observed(instance("init", exit_code=143), anew={"init-0"}),
            ["start init 1"],
            id="so is an init container",
        ),
        pytest.param(
            pod(restartPolicy="OnFailure"),
            observed(instance(exit_code=0), sandbox=False, anew={"main-0"}),
            ["sandbox 1"],
            id="in another sandbox if need be",
        ),
        pytest.param(
            pod(container(resources={"requests": {"cpu": "0.1"}})),
            observed(instance(), enforced={"main-0": SOME}),
            [],
            id="the same amount in other words is no change",
        ),
        pytest.param(
            pod(container(), container("over"), resources=MORE, restartPolicy="Never"),
            observed(instance(), instance("over", exit_code=0), enforced={"": SOME, "main-0": {}}),
            ["resize pod and main-0"],
            id="a pod that has other resources as a whole is resized with what runs in it",
        ),
        pytest.param(
            pod(container(resizePolicy=ANEW), resources=LIMITED),
            observed(instance(), enforced={"": {"limits": {"cpu": "0.1"}}, "main-0": {}}),
            ["stop main: Container main resize requires restart"],
            id="who has the pod's limit and asks for a restart ends before the pod has its other limit",
        ),
        pytest.param(
            pod(container(resizePolicy=ANEW), resources=LIMITED),
            observed(instance(exit_code=137), enforced={"": {"limits": {"cpu": "0.1"}}, "main-0": {}}),
            ["start main 1", "resize pod and "],
            id="and begins anew with it",
        ),
        pytest.param(
            pod(container(resizePolicy=ANEW, resources=LIMITED)),
            observed(instance(exit_code=137), enforced={"": {}, GROUP: {"limits": {"cpu": "0.1"}}}),
            ["start main 1", "resize pod and "],
            id="with a limit of its own, too: the pod's group has to have room for it",
        ),
        pytest.param(
            pod(container(resources=MORE)),
            observed(instance(), enforced={"": {}, GROUP: SOME, "main-0": SOME}),
            ["resize main-0 to 200m"],
            id="the group is resized with a container that goes on",
        ),
        pytest.param(
            pod(container(resizePolicy=ANEW, resources={"limits": {"cpu": "0.1"}}), resources=LIMITED),
            observed(instance(), enforced={"": {"limits": {"cpu": "0.1"}}, "main-0": {"limits": {"cpu": "0.1"}}}),
            ["resize pod and main-0"],
            id="who has a limit of his own does not",
        ),
    ],
)
def test_rarer_cases(of: Object, seen: Observed, expected: list[str]) -> None:
    assert plan(of, seen) == expected


HOOKED = {"lifecycle": {"postStart": {"exec": {"command": ["wait"]}}}}


@pytest.mark.parametrize(
    ("name", "busy", "held"),
    [
        ("main", {"proxy"}, True),
        ("main", {"side"}, True),
        ("main", {"first"}, False),
        ("main", {"main"}, False),
        ("proxy", {"proxy", "main"}, False),
        ("proxy", {"side"}, True),
        ("shell", {"proxy", "side"}, False),
    ],
    ids=[
        "its hook may run",
        "as may a sidecar's",
        "who has no hook holds nobody back",
        "nobody waits for himself",
        "nor for who comes after",
        "sidecars come before all",
        "an ephemeral container waits for nobody",
    ],
)
def test_who_comes_after_a_post_start_hook_waits_for_it(name: str, busy: set[str], *, held: bool) -> None:
    of = pod(
        container("first"), container("proxy", **HOOKED), container("main", **HOOKED), init=(sidecar("side", **HOOKED),)
    )
    of["spec"]["ephemeralContainers"] = [container("shell")]
    asking = next(c for kind in ("containers", "ephemeralContainers") for c in of["spec"][kind] if c["name"] == name)
    assert is_held_back(of, asking, busy) is held
