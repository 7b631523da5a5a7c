"""What the API is told of a pod: phase, conditions and container statuses as upstream orders and words them. Pure.

Source: upstream `pkg/kubelet/kubelet_pods.go` (getPhase, convertToAPIContainerStatuses), `status/generate.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pylet.agent.kubelet.observed import Container, Observed
from pylet.agent.kubelet.spec import (
    all_containers,
    app_containers,
    init_containers,
    is_host_network,
    is_sidecar,
    qos_class,
    restarts_after,
)
from pylet.api import timestamps
from pylet.api.object import Object, condition_of, conditions_of, is_terminating


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else the status says: `waiting` by container, (reason, message); `failure` of the pod as a whole."""

    host_ips: tuple[str, ...]
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    failure: tuple[str, str] | None = None


_OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def pod_status(pod: Object, observed: Observed, facts: Circumstances, now: datetime) -> Object:
    """The whole status; what others wrote (PodScheduled, readiness gates, …) is kept."""
    old: Object = pod.get("status") or {}
    apps = [_container_status(pod, c, observed, facts, now) for c in app_containers(pod)]
    inits = [_container_status(pod, c, observed, facts, now) for c in init_containers(pod)]
    phase = "Failed" if facts.failure is not None else _phase(pod, observed)
    if old.get("phase") in ("Succeeded", "Failed"):
        phase = old["phase"]  # a pod does not come back from either
    ips = facts.host_ips if is_host_network(pod) else _pod_ips(observed, old)
    status: Object = {
        "observedGeneration": pod["metadata"].get("generation", 0),
        "phase": phase,
        "conditions": _conditions(pod, observed, phase, inits, apps, now),
        "hostIP": facts.host_ips[0] if facts.host_ips else "",
        "hostIPs": [{"ip": ip} for ip in facts.host_ips],
        "startTime": old.get("startTime") or timestamps.format_time(now),
        "qosClass": old.get("qosClass") or qos_class(pod),
        "containerStatuses": sorted(apps, key=lambda status: str(status["name"])),
    }
    if ips:
        status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    if inits:
        status["initContainerStatuses"] = inits
    if facts.failure is not None:
        status["reason"], status["message"] = facts.failure
    return status


def _pod_ips(observed: Observed, old: Object) -> tuple[str, ...]:
    """A pod that has ended keeps the addresses it had."""
    if observed.sandboxes and observed.sandboxes[0].ips:
        return observed.sandboxes[0].ips
    return tuple(entry["ip"] for entry in old.get("podIPs") or ())


def _phase(pod: Object, observed: Observed) -> str:
    if is_terminating(pod) and not observed.running and observed.sandbox is None:
        # Nothing starts again, whatever the restart policy; what never ran counts as failed.
        finals = [observed.latest(container["name"]) for container in app_containers(pod)]
        good = all(last is not None and last.is_finished and last.exit_code == 0 for last in finals)
        return "Succeeded" if good else "Failed"
    for container in init_containers(pod):
        last = observed.latest(container["name"])
        if is_sidecar(container):
            continue
        if last is None or not last.is_finished:
            if not any(observed.latest(c["name"]) for c in app_containers(pod)):
                return "Pending"
        elif last.exit_code != 0:
            return "Pending" if restarts_after(pod, container, last.exit_code) else "Failed"
    last_ones = [(container, observed.latest(container["name"])) for container in app_containers(pod)]
    if any(last is None for _, last in last_ones):
        return "Pending"
    ended = [(container, last) for container, last in last_ones if last is not None and last.is_finished]
    if len(ended) < len(last_ones) or any(restarts_after(pod, c, last.exit_code) for c, last in ended):
        return "Running"
    return "Succeeded" if all(last.exit_code == 0 for _, last in ended) else "Failed"


# ---- containers


def _container_status(
    pod: Object, container: Object, observed: Observed, facts: Circumstances, now: datetime
) -> Object:
    name = container["name"]
    instances = observed.containers.get(name, ())
    last = instances[0] if instances else None
    state, previous = _states(pod, container, instances, facts)
    ready, started = _readiness(pod, container, last, observed)
    status: Object = {
        "name": name,
        "state": state,
        "lastState": previous,
        "ready": ready,
        "restartCount": last.restarts if last is not None else 0,
        "image": last.image if last is not None else container.get("image", ""),
        "imageID": last.image_ref if last is not None else "",
        "started": started,
    }
    if last is not None:
        status["containerID"] = f"containerd://{last.id}"
    if container.get("resources") and last is not None:
        status["resources"] = container["resources"]
        if requests := container["resources"].get("requests"):
            status["allocatedResources"] = requests
    return status


def _states(
    pod: Object, container: Object, instances: tuple[Container, ...], facts: Circumstances
) -> tuple[Object, Object]:
    name = container["name"]
    last = instances[0] if instances else None
    before = _terminated(instances[1]) if len(instances) > 1 and instances[1].is_finished else {}
    if name in facts.waiting and (last is None or not last.is_running):
        reason, message = facts.waiting[name]
        waiting = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        return waiting, _terminated(last) if last is not None and last.is_finished else before
    if last is None:
        reason = "PodInitializing" if init_containers(pod) else "ContainerCreating"
        return {"waiting": {"reason": reason}}, {}
    if last.is_running:
        since = timestamps.format_time(last.started_at) if last.started_at is not None else None
        return {"running": {"startedAt": since} if since else {}}, before
    if last.is_finished:
        return _terminated(last), before
    return {"waiting": {"reason": "ContainerCreating"}}, before


def _terminated(container: Container) -> Object:
    reason = container.reason or ("Completed" if container.exit_code == 0 else "Error")
    ended: Object = {"exitCode": container.exit_code, "reason": reason, "containerID": f"containerd://{container.id}"}
    if container.message:
        ended["message"] = container.message
    if container.started_at is not None:
        ended["startedAt"] = timestamps.format_time(container.started_at)
    if container.finished_at is not None:
        ended["finishedAt"] = timestamps.format_time(container.finished_at)
    return {"terminated": ended}


def _readiness(pod: Object, container: Object, last: Container | None, observed: Observed) -> tuple[bool, bool]:
    """Whether it is ready and whether it has started. What the probes have not said yet is as it was reported last."""
    runs_once = container in init_containers(pod) and not is_sidecar(container)
    if last is None or not last.is_running:
        return runs_once and last is not None and last.is_finished and last.exit_code == 0, False
    if runs_once:
        return False, True
    probed, reported = observed.probes(last), _reported(pod, last)
    started = _said(probed.started, "startupProbe" in container, bool(reported.get("started")))
    ready = started and _said(probed.ready, "readinessProbe" in container, bool(reported.get("ready")))
    return ready, started


def _said(result: bool | None, has_probe: bool, before: bool) -> bool:
    if not has_probe:
        return True
    return before if result is None else result


def _reported(pod: Object, container: Container) -> Object:
    """What the API holds of this very instance: after a restart of pylet, readiness goes on from there."""
    status = pod.get("status") or {}
    known = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    return next((s for s in known if s.get("containerID") == f"containerd://{container.id}"), {})


# ---- conditions


def _conditions(
    pod: Object, observed: Observed, phase: str, inits: list[Object], apps: list[Object], now: datetime
) -> list[Object]:
    sandboxed = observed.sandbox is not None
    own = [
        _condition("PodReadyToStartContainers", sandboxed),
        _initialized(pod, inits, apps, phase),
        *_ready(pod, phase, inits, apps),
    ]
    others = [c for c in conditions_of(pod) if c["type"] not in _OWN_CONDITIONS]
    return [*(_stamped(pod, condition, now) for condition in own), *others]


def _condition(type_: str, holds: bool, reason: str = "", message: str = "") -> Object:
    found: Object = {"type": type_, "status": "True" if holds else "False"}
    return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def _initialized(pod: Object, inits: list[Object], apps: list[Object], phase: str) -> Object:
    if phase == "Succeeded":
        return _condition("Initialized", True, "PodCompleted")
    if any("running" in s["state"] or "terminated" in s["state"] for s in apps):
        return _condition("Initialized", True)
    sidecars = {container["name"] for container in init_containers(pod) if is_sidecar(container)}
    missing = [s["name"] for s in inits if not (s["started"] if s["name"] in sidecars else s["ready"])]
    if missing:
        words = f"containers with incomplete status: [{' '.join(missing)}]"
        return _condition("Initialized", False, "ContainersNotInitialized", words)
    return _condition("Initialized", True)


def _ready(pod: Object, phase: str, inits: list[Object], apps: list[Object]) -> Iterable[Object]:
    """Ready and ContainersReady."""
    if phase in ("Succeeded", "Failed"):
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        return _condition("Ready", False, reason), _condition("ContainersReady", False, reason)
    sidecars = {container["name"] for container in all_containers(pod) if is_sidecar(container)}
    unready = [s["name"] for s in (*(s for s in inits if s["name"] in sidecars), *apps) if not s["ready"]]
    if unready:
        words = f"containers with unready status: [{' '.join(unready)}]"
        found = ("ContainersNotReady", words)
        return _condition("Ready", False, *found), _condition("ContainersReady", False, *found)
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    closed = [gate for gate in gates if (condition_of(pod, gate) or {}).get("status") != "True"]
    if closed:
        words = "; ".join(
            f'corresponding condition of pod readiness gate "{gate}" does not exist.'
            if condition_of(pod, gate) is None
            else f'the status of pod readiness gate "{gate}" is not "True", but False'
            for gate in closed
        )
        return _condition("Ready", False, "ReadinessGatesNotReady", words), _condition("ContainersReady", True)
    return _condition("Ready", True), _condition("ContainersReady", True)


def _stamped(pod: Object, condition: Object, now: datetime) -> Object:
    old = condition_of(pod, condition["type"])
    same = old is not None and old["status"] == condition["status"] and old.get("lastTransitionTime")
    return {
        **condition,
        "lastProbeTime": None,
        "lastTransitionTime": old["lastTransitionTime"] if same and old is not None else timestamps.format_time(now),
        "observedGeneration": pod["metadata"].get("generation", 0),
    }


def differs(old: Object, new: Object) -> bool:
    """Whether there is anything to report; nulls and absent fields are the same."""
    return _without_nulls(old) != _without_nulls(new)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        kept = {name: _without_nulls(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in (None, {}, [], "", 0)}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
