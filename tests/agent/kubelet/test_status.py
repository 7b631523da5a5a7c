"""What the API is told of a pod, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pylet.agent.kubelet.observed import GROUP, Observed, Probed
from pylet.agent.kubelet.reporting import status_patch
from pylet.agent.kubelet.status import Circumstances, pod_status
from pylet.api.object import Object, condition_of
from pylet.cri.messages import ContainerState
from tests.agent.kubelet.builders import NOW, container, instance, observed, pod, sidecar, terminating

HOST = Circumstances(("192.0.2.1",))
READINESS = {"readinessProbe": {"exec": {"command": ["true"]}}}
STARTUP = {"startupProbe": {"exec": {"command": ["true"]}}}
INIT = container("init")


def status(of: Object, seen: Observed, facts: Circumstances = HOST) -> Object:
    return pod_status(of, seen, facts, NOW)


@pytest.mark.parametrize(
    ("of", "seen", "phase"),
    [
        pytest.param(pod(), Observed(), "Pending", id="nothing yet"),
        pytest.param(pod(), observed(instance()), "Running", id="running"),
        pytest.param(pod(container("a"), container("b")), observed(instance("a")), "Pending", id="one not begun"),
        pytest.param(pod(), observed(instance(exit_code=1)), "Running", id="Always: between two runs"),
        pytest.param(pod(restartPolicy="Never"), observed(instance(exit_code=0)), "Succeeded", id="all succeeded"),
        pytest.param(pod(restartPolicy="Never"), observed(instance(exit_code=2)), "Failed", id="one failed"),
        pytest.param(pod(restartPolicy="OnFailure"), observed(instance(exit_code=2)), "Running", id="to be repeated"),
        pytest.param(
            pod(container("a"), container("b"), restartPolicy="Never"),
            observed(instance("a", exit_code=1), instance("b")),
            "Running",
            id="one failed, one runs",
        ),
        pytest.param(pod(init=(INIT,)), observed(instance("init")), "Pending", id="initializing"),
        pytest.param(
            pod(init=(INIT,), restartPolicy="Never"),
            observed(instance("init", exit_code=1)),
            "Failed",
            id="Never: initialization failed",
        ),
        pytest.param(
            pod(init=(sidecar("side"),), restartPolicy="Never"),
            observed(instance("side"), instance(exit_code=0)),
            "Running",
            id="a sidecar still runs",
        ),
        pytest.param(
            pod(init=(sidecar("side", **STARTUP),)),
            observed(instance("side"), instance(exit_code=3, sandbox="gone")),
            "Pending",
            id="begins anew, and a sidecar has yet to start",
        ),
        pytest.param(
            pod(init=(sidecar("side"),)),
            observed(instance("side"), instance(exit_code=3, sandbox="gone")),
            "Running",
            id="begins anew, and the sidecar has started",
        ),
        pytest.param(
            terminating(pod()), observed(instance(exit_code=137), sandbox=False), "Failed", id="deleted and killed"
        ),
        pytest.param(
            terminating(pod()), observed(instance(exit_code=0), sandbox=False), "Succeeded", id="deleted, ended well"
        ),
        pytest.param(terminating(pod()), observed(sandbox=False), "Failed", id="deleted before it ran"),
        pytest.param(terminating(pod()), observed(instance()), "Running", id="deleted, still ending"),
        pytest.param(
            {**pod(), "status": {"phase": "Failed"}}, observed(instance()), "Failed", id="terminal phases are final"
        ),
    ],
)
def test_phase(of: Object, seen: Observed, phase: str) -> None:
    assert status(of, seen)["phase"] == phase


@pytest.mark.parametrize(
    ("fields", "probed", "reported", "ready", "started"),
    [
        pytest.param({}, None, None, True, True, id="without probes running is ready"),
        pytest.param(READINESS, None, None, False, True, id="unasked readiness is not ready"),
        pytest.param(READINESS, Probed(ready=True), None, True, True, id="readiness succeeded"),
        pytest.param(READINESS, Probed(ready=False), True, False, True, id="a probe's answer beats what was reported"),
        pytest.param(READINESS, None, True, True, True, id="a restart of pylet keeps what was reported"),
        pytest.param(STARTUP, None, None, False, False, id="not started is not ready"),
        pytest.param(STARTUP, Probed(started=True), None, True, True, id="started"),
    ],
)
def test_readiness(fields: Object, probed: Probed | None, reported: bool | None, ready: bool, started: bool) -> None:
    of = pod(container(**fields))
    if reported is not None:
        entry = {"name": "main", "containerID": "containerd://main-0", "ready": reported, "started": True}
        of["status"] = {"containerStatuses": [entry]}
    found = status(of, observed(instance(), probed={"main-0": probed} if probed else {}))["containerStatuses"][0]
    assert (found["ready"], found["started"]) == (ready, started)


def test_conditions_of_a_running_pod_keep_what_others_wrote() -> None:
    of = pod(readinessGates=[{"conditionType": "example.com/gate"}])
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    of["status"] = {"conditions": [scheduled]}
    found = status(of, observed(instance()))
    kinds = {c["type"]: c["status"] for c in found["conditions"]}
    assert kinds == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }
    ready = condition_of({"status": found}, "Ready")
    assert ready is not None
    assert ready["reason"] == "ReadinessGatesNotReady"
    assert ready["message"] == 'corresponding condition of pod readiness gate "example.com/gate" does not exist.'


@pytest.mark.parametrize(
    ("of", "seen", "type_", "reason", "message"),
    [
        (pod(), observed(), "Ready", "ContainersNotReady", "containers with unready status: [main]"),
        (
            pod(init=(INIT,)),
            observed(instance("init")),
            "Initialized",
            "ContainersNotInitialized",
            "containers with incomplete status: [init]",
        ),
        (pod(restartPolicy="Never"), observed(instance(exit_code=0)), "Ready", "PodCompleted", ""),
        (pod(restartPolicy="Never"), observed(instance(exit_code=1)), "ContainersReady", "PodFailed", ""),
    ],
    ids=["not running", "initializing", "completed", "failed"],
)
def test_why_a_condition_does_not_hold(of: Object, seen: Observed, type_: str, reason: str, message: str) -> None:
    found = condition_of({"status": status(of, seen)}, type_)
    assert found is not None
    assert (found["status"], found["reason"], found.get("message", "")) == ("False", reason, message)


def test_a_condition_keeps_its_transition_time_until_it_turns() -> None:
    of = pod()
    of["status"] = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    still = condition_of({"status": status(of, observed(instance()))}, "Ready")
    turned = condition_of({"status": status(of, observed(instance(exit_code=1)))}, "Ready")
    assert still is not None
    assert turned is not None
    assert still["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert turned["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_a_container_that_ended_in_its_hook_for_good_says_how_it_ended() -> None:
    hooked = Circumstances(("192.0.2.1",), {"main": ("PostStartHookError", "no")})
    ended = status(pod(restartPolicy="Never"), observed(instance(exit_code=1)), hooked)["containerStatuses"][0]
    assert ended["state"]["terminated"]["exitCode"] == 1
    again = status(pod(restartPolicy="Always"), observed(instance(exit_code=1)), hooked)["containerStatuses"][0]
    assert again["state"] == {"waiting": {"reason": "PostStartHookError", "message": "no"}}


def test_an_init_container_that_is_made_and_not_started_has_the_pod_initializing() -> None:
    made = status(pod(init=(INIT,)), observed(instance("init", state=ContainerState.CREATED)))
    assert made["initContainerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_an_instance_that_is_being_started_is_not_told_of_yet() -> None:
    half = observed(instance(restarts=3, state=ContainerState.CREATED), instance(exit_code=3, restarts=2))
    before = status(pod(), half, replace(HOST, busy={"main"}))["containerStatuses"][0]
    assert (before["restartCount"], before["state"].keys()) == (2, {"terminated"})
    failed = replace(HOST, waiting={"main": ("RunContainerError", "no")}, busy={"other"})
    assert status(pod(), half, failed)["containerStatuses"][0]["restartCount"] == 3


def test_container_states() -> None:
    creating = status(pod(), observed())["containerStatuses"][0]
    assert creating["state"] == {"waiting": {"reason": "ContainerCreating"}}
    waiting = Circumstances(("192.0.2.1",), {"main": ("CrashLoopBackOff", "back-off 10s …")})
    crashed = status(pod(), observed(instance(exit_code=3, restarts=2)), waiting)["containerStatuses"][0]
    assert crashed["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s …"}}
    assert crashed["lastState"]["terminated"]["exitCode"] == 3
    assert crashed["restartCount"] == 2
    again = status(pod(), observed(instance(restarts=1), instance(exit_code=3)))["containerStatuses"][0]
    assert again["state"] == {"running": {"startedAt": "2026-01-02T03:03:05Z"}}
    assert again["lastState"]["terminated"]["containerID"] == "containerd://main-0"


def test_an_init_container_that_nobody_knows_of_has_ended_well_where_the_pod_got_further() -> None:
    """A static pod's, which was removed, and the kubelet began anew."""
    of = pod(init=(INIT,))
    told = status(of, observed(instance()))
    assert (told["phase"], told["initContainerStatuses"][0]["ready"]) == ("Running", True)
    assert told["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert status(of, observed())["initContainerStatuses"][0]["state"].keys() == {"waiting"}
    side = status(pod(init=(sidecar("init"),)), observed(instance()))
    assert side["initContainerStatuses"][0]["state"].keys() == {"waiting"}


def test_of_a_deleted_pod_nothing_waits_to_be_started() -> None:
    """It says how it ended, not that its end got lost."""
    backs_off = replace(HOST, waiting={"main": ("CrashLoopBackOff", "")})
    crashed = observed(instance(exit_code=3, restarts=1), instance(exit_code=2))
    before = {**pod(), "status": status(pod(), crashed, backs_off)}
    (told,) = status(terminating(before), replace(crashed, sandboxes=()), backs_off)["containerStatuses"]
    assert (told["state"]["terminated"]["exitCode"], told["lastState"]["terminated"]["exitCode"]) == (3, 2)


@pytest.mark.parametrize(
    ("last", "state"),
    [
        pytest.param(observed(instance()), "terminated", id="it ran"),
        pytest.param(observed(instance(restarts=1), instance(exit_code=2)), "terminated", id="and before"),
        pytest.param(observed(), "waiting", id="it never ran"),
    ],
)
def test_a_deleted_pod_whose_containers_are_gone_tells_of_an_end_if_there_was_one(last: Observed, state: str) -> None:
    before = {**pod(), "status": status(pod(), last)}
    (told,) = status(terminating(before), Observed())["containerStatuses"]
    assert told["state"].keys() == {state}
    if state == "terminated":
        assert (told["state"][state]["exitCode"], told["state"][state]["reason"]) == (137, "ContainerStatusUnknown")


def test_addresses() -> None:
    inside = status(pod(), observed(instance()))
    assert (inside["podIP"], inside["hostIP"]) == ("10.42.0.7", "192.0.2.1")
    assert status(pod(hostNetwork=True), observed(instance()))["podIPs"] == [{"ip": "192.0.2.1"}]


def test_a_pod_tells_what_it_was_granted_and_what_it_has() -> None:
    granted, had = ({"requests": {"memory": size}, "limits": {"memory": size}} for size in ("1Gi", "2Gi"))
    found = status(pod(resources=granted), observed(instance(), enforced={GROUP: had}))
    assert (found["resources"], found["allocatedResources"]) == (had, {"memory": "1Gi"})
    assert status(pod(resources=granted), observed(instance()))["resources"] == granted
    assert status(pod(resources=granted), observed(enforced={GROUP: had}))["resources"] == granted


def test_a_pod_that_failed_as_a_whole_says_why() -> None:
    facts = Circumstances(("192.0.2.1",), failure=("DeadlineExceeded", "too long"))
    found = status(pod(), observed(instance(exit_code=137)), facts)
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "DeadlineExceeded", "too long")


@pytest.mark.parametrize(
    ("reason", "exit_code", "told"),
    [
        ("Evicted", 0, ("Succeeded", None)),
        ("Evicted", 137, ("Failed", "Evicted")),
        ("Evicted", None, ("Running", None)),
        ("DeadlineExceeded", 0, ("Failed", "DeadlineExceeded")),
    ],
    ids=["all ended well", "one was killed", "it still runs", "out of its own time, whatever it ended with"],
)
def test_a_pod_that_the_node_wants_gone_may_still_succeed(
    reason: str, exit_code: int | None, told: tuple[str, str | None]
) -> None:
    of = {**pod(), "status": {"phase": "Running"}}
    found = status(of, observed(instance(exit_code=exit_code)), Circumstances(("192.0.2.1",), failure=(reason, "why")))
    assert (found["phase"], found.get("reason")) == told


@pytest.mark.parametrize("failure", [None, ("Evicted", "why")], ids=["deleted", "evicted"])
def test_a_pod_is_not_over_while_something_of_it_is_being_started(failure: tuple[str, str] | None) -> None:
    of = pod() if failure else {**pod(), "metadata": {**pod()["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    of["status"] = {"phase": "Pending"}
    facts = Circumstances(("192.0.2.1",), failure=failure, busy={"main"})
    assert status(of, Observed(), facts)["phase"] == "Pending"
    assert status(of, Observed(), replace(facts, busy=()))["phase"] == "Failed"


def test_of_merged_objects_what_is_no_more_is_named() -> None:
    before = {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}}}
    after = {"resources": {"limits": {"memory": "2Gi"}}, "allocatedResources": {"cpu": "1"}}
    patch = status_patch({**pod(), "status": before}, after)
    assert patch is not None
    assert patch["status"] == {
        "resources": {"limits": {"cpu": None, "memory": "2Gi"}, "requests": None},
        "allocatedResources": {"cpu": "1"},
    }


def test_nothing_new_is_not_reported() -> None:
    found = status(pod(), observed(instance()))
    assert status_patch({**pod(), "status": {**found, "message": None}}, found) is None
    assert status_patch({**pod(), "status": found}, status(pod(), observed(instance(exit_code=1)))) is not None


def test_a_report_names_what_changed_and_keeps_what_others_wrote() -> None:
    of = pod(readinessGates=[{"conditionType": "example.com/gate"}])
    gate = {"type": "example.com/gate", "status": "True"}
    of["status"] = status(of, observed())
    of["status"]["conditions"] = [*of["status"]["conditions"], gate]
    patch = status_patch(of, status(of, observed(instance())))
    assert patch is not None
    changed = patch["status"]
    assert set(changed) == {"phase", "conditions", "$setElementOrder/conditions", "containerStatuses"}
    assert [c["type"] for c in changed["conditions"]] == ["Ready", "ContainersReady"]
    assert changed["conditions"][0]["reason"] is None
    assert [c["type"] for c in changed["$setElementOrder/conditions"]] == [
        "example.com/gate",
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]


def test_an_end_that_was_final_is_not_taken_back() -> None:
    """The API refuses such a report as a whole: nothing else about the pod would be heard any more."""
    of = pod(restartPolicy="Never")
    of["status"] = status(of, observed(instance(exit_code=137)))
    again = status(of, observed(instance(restarts=1)))
    assert again["containerStatuses"] == of["status"]["containerStatuses"]
    of = pod(container(restartPolicy="OnFailure"), restartPolicy="Never")
    of["status"] = status(of, observed(instance(exit_code=137)))
    assert "running" in status(of, observed(instance(restarts=1)))["containerStatuses"][0]["state"]


def test_of_a_pod_that_was_refused_nothing_is_told_but_why() -> None:
    facts = Circumstances(("192.0.2.1",), failure=("OutOfcpu", "Pod was rejected: too little"))
    nothing = Observed()
    found = status(pod(), nothing, facts)
    assert (found["phase"], found["reason"]) == ("Failed", "OutOfcpu")
    assert "containerStatuses" not in found
    assert status({**pod(), "status": found}, nothing, facts) == found


@pytest.mark.parametrize(
    ("mount", "able", "told"),
    [
        ({"recursiveReadOnly": "IfPossible"}, True, "Enabled"),
        ({"recursiveReadOnly": "IfPossible"}, False, "Disabled"),
        ({"recursiveReadOnly": "IfPossible", "mountPropagation": "HostToContainer"}, True, "Disabled"),
        ({"recursiveReadOnly": "Enabled"}, True, "Enabled"),
        ({}, True, "Disabled"),
    ],
    ids=["it can", "it cannot", "propagated", "insisted on", "not asked for"],
)
def test_what_is_below_a_read_only_mount_is_told_as_it_is(mount: Object, told: str, *, able: bool) -> None:
    node = {"status": {"runtimeHandlers": [{"name": "", "features": {"recursiveReadOnlyMounts": able}}]}}
    of = pod(container(volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": True, **mount}]))
    (seen,) = status(of, Observed(), Circumstances((), node=node))["containerStatuses"]
    assert seen["volumeMounts"] == [{"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": told}]


def test_an_end_that_another_instance_follows_is_told_with_that() -> None:
    """The API would not take it back."""
    of, ended = pod(restartPolicy="OnFailure"), observed(instance(exit_code=0), anew={"main-0"})
    runs = {**of, "status": status(of, observed(instance()))}
    between = status(runs, ended)
    assert (between["phase"], between["containerStatuses"][0]["ready"]) == ("Running", False)
    assert between["containerStatuses"][0]["state"].keys() == {"running"}
    waits = status(runs, ended, replace(HOST, waiting={"main": ("CrashLoopBackOff", "")}))
    assert waits["phase"] == "Running"
    assert waits["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 0
    again = status({**of, "status": between}, observed(instance(restarts=1), instance(exit_code=0), anew={"main-0"}))
    assert again["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 0
    made = instance(restarts=1, state=ContainerState.CREATED)
    assert status(runs, observed(made, instance(exit_code=0), anew={"main-0"}))["phase"] == "Running"
    last = observed(instance(restarts=1, exit_code=0), instance(exit_code=0), anew={"main-0"})
    assert status(runs, last)["phase"] == "Succeeded"
    over = status(terminating(runs), replace(ended, sandboxes=()))
    assert over["containerStatuses"][0]["state"].keys() == {"terminated"}


def test_what_could_not_be_started_has_started_when_time_began() -> None:
    told = status(pod(), observed(replace(instance(exit_code=128), started_at=None)))
    assert told["containerStatuses"][0]["state"]["terminated"]["startedAt"] == "1970-01-01T00:00:00Z"
