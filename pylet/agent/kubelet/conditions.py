"""The conditions of a pod that the kubelet owns, as upstream orders and words them. Pure.

Source: upstream `pkg/kubelet/status/generate.go` and generateAPIPodStatus in `pkg/kubelet/kubelet_pods.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pylet.agent.kubelet.reporting import OWN_CONDITIONS
from pylet.agent.kubelet.spec import all_containers, init_containers
from pylet.api import timestamps
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, condition_of, conditions_of
from pylet.api.podtemplate import TERMINAL


def conditions(
    pod: Object,
    phase: str,
    statuses: Mapping[str, Object],
    passing: Sequence[Object],
    now: datetime,
    *,
    sandboxed: bool,
) -> list[Object]:
    """All of them: what others wrote first, as they wrote it; `passing` are those that come and go."""
    types = {*OWN_CONDITIONS, *(condition["type"] for condition in passing)}
    others = [condition for condition in conditions_of(pod) if condition["type"] not in types]
    containers_ready = _containers_ready(pod, phase, statuses)
    own = [
        *passing,
        _condition("PodReadyToStartContainers", holds=sandboxed),
        _initialized(pod, phase, statuses),
        _ready(pod, containers_ready),
        containers_ready,
        _condition("PodScheduled", holds=True),
    ]
    return [*others, *(_stamped(pod, condition, now) for condition in own)]


def _condition(type_: str, reason: str = "", message: str = "", *, holds: bool) -> Object:
    found: Object = {"type": type_, "status": "True" if holds else "False"}
    return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def _initialized(pod: Object, phase: str, statuses: Mapping[str, Object]) -> Object:
    if phase == "Succeeded":
        return _condition("Initialized", "PodCompleted", holds=True)
    if any(_has_started(statuses[container["name"]]) for container in pod["spec"]["containers"]):
        return _condition("Initialized", holds=True)
    missing = [
        container["name"]
        for container in init_containers(pod)
        if not statuses[container["name"]].get("started" if is_sidecar(container) else "ready")
    ]
    if not missing:
        return _condition("Initialized", holds=True)
    words = f"containers with incomplete status: [{' '.join(missing)}]"
    return _condition("Initialized", "ContainersNotInitialized", words, holds=False)


def _has_started(status: Object) -> bool:
    before = (status.get("lastState") or {}).get("terminated")
    return "running" in status["state"] or "terminated" in status["state"] or bool(before)


def _containers_ready(pod: Object, phase: str, statuses: Mapping[str, Object]) -> Object:
    if phase in TERMINAL:
        return _condition("ContainersReady", "PodCompleted" if phase == "Succeeded" else "PodFailed", holds=False)
    lasting = [c["name"] for c in all_containers(pod) if is_sidecar(c) or c not in init_containers(pod)]
    unready = [name for name in lasting if not statuses[name]["ready"]]
    if unready:
        words = f"containers with unready status: [{' '.join(unready)}]"
        return _condition("ContainersReady", "ContainersNotReady", words, holds=False)
    return _condition("ContainersReady", holds=True)


def _ready(pod: Object, containers_ready: Object) -> Object:
    if containers_ready["status"] != "True":
        return {**containers_ready, "type": "Ready"}
    closed = []
    for gate in pod["spec"].get("readinessGates") or ():
        type_ = gate["conditionType"]
        condition = condition_of(pod, type_)
        if condition is None:
            closed.append(f'corresponding condition of pod readiness gate "{type_}" does not exist.')
        elif condition["status"] != "True":
            closed.append(f'the status of pod readiness gate "{type_}" is not "True", but {condition["status"]}')
    if closed:
        return _condition("Ready", "ReadinessGatesNotReady", ", ".join(closed), holds=False)
    return _condition("Ready", holds=True)


def _stamped(pod: Object, condition: Object, now: datetime) -> Object:
    old = condition_of(pod, condition["type"]) or {}
    since = old.get("lastTransitionTime") if old.get("status") == condition["status"] else None
    return {
        "observedGeneration": pod["metadata"].get("generation", 0),
        **condition,
        "lastProbeTime": None,
        "lastTransitionTime": since or timestamps.format_time(now),
    }
