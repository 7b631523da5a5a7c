"""What `pylet why` makes of broken clusters: the causes, in words, with what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pylet.api import kinds
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.cli.why import World, explain, lines

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
STAMP = "2026-01-02T11:00:00Z"


def made(kind: str, name: str, *, namespace: str = "default", labels: Any = None, **rest: Any) -> Object:
    meta: Object = {"name": name, "uid": f"{kind}-{name}", "creationTimestamp": STAMP, "labels": labels or {}}
    if namespace:
        meta["namespace"] = namespace
    return {"kind": kind, "metadata": {**meta, **rest.pop("metadata", {})}, **rest}


def node(name: str, *, cpu: str = "2", ready: str = "True", **spec: Any) -> Object:
    room = {"cpu": cpu, "memory": "4Gi", "pods": "110"}
    conditions = [{"type": "Ready", "status": ready, "message": "containerd is down"}]
    status = {"allocatable": room, "capacity": room, "conditions": conditions}
    return made("Node", name, namespace="", labels={"kubernetes.io/hostname": name}, spec=spec, status=status)


def pod(name: str = "p", *, cpu: str = "100m", metadata: Any = None, status: Any = None, **spec: Any) -> Object:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    spec = {"containers": [container], **spec}
    return made("Pod", name, metadata=metadata or {}, spec=spec, status=status or {"phase": "Pending"})


def running(*statuses: Object, phase: str = "Running", ready: str = "False") -> Object:
    return {"phase": phase, "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": list(statuses)}


def container(*, ready: bool = False, restarts: int = 0, last: Any = None, **state: Any) -> Object:
    found = {"name": "c", "image": "x", "ready": ready, "restartCount": restarts, "state": state}
    return {**found, "lastState": last} if last else found


def event(about: Object, reason: str, message: str) -> Object:
    involved = {"uid": about["metadata"]["uid"]}
    name = f"{about['metadata']['name']}.{reason}"
    return made(
        "Event", name, involvedObject=involved, type="Warning", reason=reason, message=message, lastTimestamp=STAMP
    )


def why(obj: Object, *others: Object) -> str:
    def read(kind: Kind) -> list[Object]:
        return [
            one
            for one in (obj, *others)
            if one["kind"] == kind.name and kinds.by_kind(kind.group, kind.version, one["kind"])
        ]

    return "\n".join(lines(explain(obj, World(read, NOW))))


def owned(child: Object, owner: Object) -> Object:
    reference = {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    child["metadata"]["ownerReferences"] = [{**reference, "controller": True}]
    return child


def claimed(name: str) -> Object:
    return {"name": name, "persistentVolumeClaim": {"claimName": name}}


ON = {"nodeName": "n"}
CRASHING = container(restarts=4, last={"terminated": {"exitCode": 127}}, waiting={"reason": "CrashLoopBackOff"})
UNMET = {"disruptionsAllowed": 0, "expectedPods": 2, "currentHealthy": 1, "desiredHealthy": 2}
FINE_CLAIM = made("PersistentVolumeClaim", "d", spec={"volumeName": "v"}, status={"phase": "Bound"})
CLASHING = {"conditions": [{"type": "Established", "status": "False", "message": "names clash"}]}
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "too much"}


@pytest.mark.parametrize(
    ("said", "about", "others"),
    [
        (["no node has been found", "the cluster has no nodes"], pod(), []),
        (["n: Insufficient cpu", "n has 2 free, it asks for 3"], pod(cpu="3"), [node("n")]),
        (
            ["n has the taint a=b:NoSchedule", "pylet kubectl taint node n a:NoSchedule-"],
            pod(),
            [node("n", taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])],
        ),
        (["n lacks the labels disk=ssd", "label node n disk=ssd"], pod(nodeSelector={"disk": "ssd"}), [node("n")]),
        (["n is cordoned", "uncordon n"], pod(), [node("n", unschedulable=True)]),
        (["held by scheduling gates: g"], pod(schedulingGates=[{"name": "g"}]), [node("n")]),
        (
            ["the scheduler mine says: no"],
            pod(schedulerName="mine", status={"conditions": [{"type": "PodScheduled", "message": "no"}]}),
            [node("n")],
        ),
        (["waits for the scheduler mine"], pod(schedulerName="mine"), [node("n")]),
        (["n could take it now"], pod(), [node("n")]),
        (["its node n is gone"], pod(**ON, status=running(container(ready=True))), []),
        (
            ["its node n is not ready", "its agent says: containerd is down"],
            pod(**ON, status=running(container(ready=True))),
            [node("n", ready="False")],
        ),
        (
            ["container c ended with 127 (its command was not found), 4 times already", "logs p -c c --previous"],
            pod(**ON, status=running(CRASHING)),
            [node("n")],
        ),
        (
            ["killed because it used more memory than its limit", "it said: oh no"],
            pod(
                **ON,
                status=running(container(terminated={"exitCode": 137, "reason": "OOMKilled", "message": "a\noh no"})),
            ),
            [node("n")],
        ),
        (
            ["has no image x: no such host", "the pull secret s does not exist", "pylet image import"],
            pod(
                **ON,
                imagePullSecrets=[{"name": "s"}],
                status=running(container(waiting={"reason": "ImagePullBackOff", "message": "no such host"})),
            ),
            [node("n")],
        ),
        (
            ["container c is being made", "the configmap m does not exist"],
            pod(
                **ON,
                volumes=[{"name": "v", "configMap": {"name": "m"}}],
                status=running(container(waiting={"reason": "ContainerCreating"}), phase="Pending"),
            ),
            [node("n")],
        ),
        (
            ["it is being deleted", "finalizers keep it: a/b"],
            pod(metadata={"deletionTimestamp": STAMP, "finalizers": ["a/b"]}),
            [],
        ),
        (["it failed: Evicted: too much"], pod(status=EVICTED), []),
        (
            ["its storage class fast does not exist"],
            made("PersistentVolumeClaim", "c", spec={"storageClassName": "fast"}, status={"phase": "Pending"}),
            [],
        ),
        (["no pod has the labels app=web"], made("Service", "s", spec={"selector": {"app": "web"}}), [pod()]),
        (["it selects no pods"], made("Service", "s", spec={}), []),
        (
            ["its agent has not been heard for 3600 s"],
            node("n", ready="Unknown"),
            [made("Lease", "n", namespace="kube-node-lease", spec={"renewTime": "2026-01-02T11:00:00.000000Z"})],
        ),
        (["it is suspended"], made("Job", "j", spec={"suspend": True}), []),
        (["no jobs are made", "patch cronjob c"], made("CronJob", "c", spec={"suspend": True}), []),
        (
            ["no node will do", "the claim c has no volume", "its storage class fast does not exist"],
            pod(volumes=[claimed("c"), claimed("d")]),
            [node("n"), made("PersistentVolumeClaim", "c", spec={"storageClassName": "fast"}), FINE_CLAIM],
        ),
        (["the claim c does not exist"], pod(volumes=[claimed("c")]), [node("n")]),
        (
            ["1 of 2 are healthy, and 2 have to stay", "pod p", "no node has been found"],
            made("PodDisruptionBudget", "b", spec={"selector": {}}, status=UNMET),
            [pod()],
        ),
        (
            ["it is cordoned", "the budget b of default keeps p there", "2 have to stay"],
            node("n", unschedulable=True),
            [
                pod(**ON, status=running(ready="True")),
                made("PodDisruptionBudget", "b", spec={"selector": {}}, status=UNMET),
            ],
        ),
        (["Established is False: names clash"], made("Thing", "t", status=CLASHING), []),
    ],
)  # fmt: skip
def test_the_causes_are_said(said: list[str], about: Object, others: list[Object]) -> None:
    found = why(about, *others)
    for words in said:
        assert words in found, found


def test_warnings_of_probes_are_told() -> None:
    about = pod(**ON, status=running(container(running={})))
    found = why(about, node("n"), event(about, "Unhealthy", "Readiness probe failed: connection refused"))
    assert "runs but is not ready: Readiness probe failed: connection refused" in found


def test_a_probe_that_ends_a_container_is_told() -> None:
    about = pod(**ON, status=running(CRASHING))
    found = why(about, node("n"), event(about, "Unhealthy", "Liveness probe failed: no"))
    assert "the kubelet ended it: Liveness probe failed: no" in found


def test_a_pod_that_waits_for_the_network_says_so() -> None:
    about = pod(**ON, status=running(container(waiting={"reason": "ContainerCreating"}), phase="Pending"))
    found = why(about, node("n"), event(about, "NetworkNotReady", "network is not ready: no CNI"))
    assert "network is not ready: no CNI" in found


def test_a_deployment_leads_down_to_what_its_pods_lack() -> None:
    deployment = made("Deployment", "d", spec={"replicas": 3})
    replica_set = owned(made("ReplicaSet", "d-1", spec={"replicas": 3}), deployment)
    pods = [owned(pod(f"d-1-{letter}", cpu="5"), replica_set) for letter in "ab"]
    found = why(deployment, replica_set, *pods, node("n")).splitlines()
    assert found[0] == "- 1 of 3 pods have not been made yet"
    assert found[1] == "- pods d-1-a, d-1-b"
    assert found[-1].strip() == "- n has 2 free, it asks for 5"


@pytest.mark.parametrize(
    "about",
    [
        pod(**ON, status=running(container(ready=True), ready="True")),
        pod(status={"phase": "Succeeded"}),
        made("Deployment", "d", spec={"replicas": 0}),
        made("Namespace", "x", namespace="", status={"phase": "Active"}),
    ],
)
def test_what_is_well_has_no_causes(about: Object) -> None:
    assert why(about, node("n")) == ""
