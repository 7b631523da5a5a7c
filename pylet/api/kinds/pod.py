"""Pods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names, podspec
from pylet.api.errors import Cause
from pylet.api.ip import problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, annotations_of, condition_of, dig, is_terminating, is_true
from pylet.api.podspec import containers, labelkeys, notes, scheduling
from pylet.api.podspec import warnings as odd
from pylet.api.podspec.security import sync_app_armor
from pylet.api.podspec.subresources import ephemeral_changes, resize_changes, resized, with_ephemeral
from pylet.api.podspec.update import changes
from pylet.api.podtemplate import TERMINAL, is_finished
from pylet.api.qos import qos_class
from pylet.api.restarts import all_could_restart, restarts


class PodStrategy(Strategy):
    """Source: pkg/registry/core/pod/strategy.go."""

    has_status = True
    has_generation = True

    def prepare_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1
        _lift_grace(obj["spec"])
        sync_app_armor(obj)
        labelkeys.merge(obj)
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj)}
        if obj["spec"].get("schedulingGates"):
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": None,
                    "lastTransitionTime": None,
                }
            ]

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        if subresource in ("ephemeralcontainers", "resize"):
            spec = with_ephemeral if subresource == "ephemeralcontainers" else resized
            obj["spec"] = spec(old["spec"], obj["spec"])
            _keep(obj["metadata"], old["metadata"], _FOR_STATUS)
        elif not subresource:
            _lift_grace(obj["spec"])
        super().prepare_update(obj, old, subresource)
        if subresource in ("ephemeralcontainers", "resize") and obj["spec"] != old["spec"]:
            obj["metadata"]["generation"] += 1
        if subresource == "status":
            _keep(obj["metadata"], old["metadata"], ("deletionTimestamp", "ownerReferences"))
            if "qosClass" in old.get("status", {}):
                obj.setdefault("status", {}).setdefault("qosClass", old["status"]["qosClass"])

    def validate(self, obj: Object) -> Sequence[Cause]:
        noted = notes.validate(annotations_of(obj), obj["spec"], "metadata.annotations")
        found = [*noted, *_spec(obj)]
        if obj["spec"].get("ephemeralContainers"):
            says = "cannot be set on create"
            found.append(causes.forbidden("spec.ephemeralContainers", says))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        match subresource:
            case "status":
                return [*notes.validate_changes(obj, old), *_status_changes(obj, old)]
            case "":
                noted = notes.validate_changes(obj, old)
                if obj["spec"] == old["spec"]:
                    return noted
                return [*noted, *_spec(obj), *changes(obj["spec"], old["spec"])]
            case "ephemeralcontainers":
                return [*_spec(obj), *ephemeral_changes(obj, old)]
            case "resize":
                return [*_spec(obj), *resize_changes(obj, old)]
        return ()

    def warnings(self, obj: Object) -> Sequence[str]:
        problems = names.dns_label(obj["metadata"].get("name", ""))
        surprise = "which can result in surprising behavior; a DNS label is recommended"
        found = [f"metadata.name: this is used in the Pod's hostname, {surprise}: [{' '.join(problems)}]"]
        return [*(found if problems else ()), *odd.of(obj)]

    def update_warnings(self, obj: Object, old: Object) -> Sequence[str]:
        return ()

    def delete_grace_seconds(self, obj: Object, asked: int | None) -> int | None:
        spec = obj["spec"]
        seconds = spec.get("terminationGracePeriodSeconds", 0) if asked is None else asked
        if not spec.get("nodeName") or is_finished(obj):
            return 0
        return 1 if seconds < 0 else seconds


def _lift_grace(spec: Object) -> None:
    """Source: pkg/apis/core/v1/conversion.go, Convert_v1_Pod_To_core_Pod."""
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1


_FOR_STATUS = ("labels", "annotations", "finalizers", "ownerReferences")
"""What metav1.ResetObjectMetaForStatus resets."""


def _keep(meta: Object, old: Object, fields: Sequence[str]) -> None:
    for name in fields:
        meta.pop(name, None)
        if name in old:
            meta[name] = old[name]


def _spec(obj: Object) -> list[Cause]:
    found = podspec.validate(obj["spec"], "spec")
    found += containers.padded_images(obj["spec"], "spec")
    return [*found, *scheduling.gated_node(obj["spec"], "spec")]


def _status_changes(obj: Object, old: Object) -> list[Cause]:
    """Which node runs a pod and how its containers ended cannot be undone: ValidatePodStatusUpdate."""
    found: list[Cause] = []
    nominated = dig(obj, "status", "nominatedNodeName", default="")
    if nominated and nominated != dig(old, "status", "nominatedNodeName"):
        found += causes.each("status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
        if old["spec"].get("nodeName"):
            says = "may not be set on pods that are already bound to a node"
            found.append(causes.forbidden("status.nominatedNodeName", says))
    observed = dig(obj, "status", "observedGeneration", default=0)
    if observed < 0:
        says = "must be a non-negative integer"
        found.append(causes.invalid("status.observedGeneration", observed, says))
    for position, address in enumerate(dig(obj, "status", "podIPs", default=())):
        text = address.get("ip", "")
        found += causes.each(f"status.podIPs[{position}]", text, problems_of(text))
    for position, condition in enumerate(dig(obj, "status", "conditions", default=())):
        kind, seen = condition.get("type", ""), condition.get("observedGeneration", 0)
        if seen < 0:
            says = "must be a non-negative integer"
            found.append(causes.invalid(f"status.conditions[{position}].observedGeneration", seen, says))
        found += causes.each(f"status.conditions[{position}].Type", kind, names.qualified_name(kind))
    found += causes.immutable("status.qosClass", dig(obj, "status", "qosClass"), dig(old, "status", "qosClass"))
    for group in ("initContainer", "container"):
        found += _revived(obj, old, group)
    return found


def _revived(obj: Object, old: Object, group: str) -> list[Cause]:
    """Containers that are said to go on though they have ended for good."""
    spec, field = obj["spec"], f"{group}Statuses"
    if all_could_restart(spec):
        return []
    named = {container["name"]: container for container in spec.get(f"{group}s") or ()}
    now = {status.get("name", ""): status for status in dig(obj, "status", field, default=())}
    found: list[Cause] = []
    for position, before in enumerate(dig(old, "status", field, default=())):
        name, ended = before.get("name", ""), dig(before, "state", "terminated")
        if ended is None or name not in now or dig(now[name], "state", "terminated") is not None:
            continue
        if name not in named or not restarts(spec, named[name], ended.get("exitCode", 0)):
            where = f"status.{field}[{position}].state"
            found.append(causes.forbidden(where, "may not be transitioned to non-terminated state"))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    progress = _Progress(obj)
    restarts = str(progress.restarts)
    if progress.restarts and progress.last_restart:
        restarts += f" ({columns.since(progress.last_restart, now)} ago)"
    ips = status.get("podIPs") or ()
    return [
        obj["metadata"]["name"],
        f"{progress.ready}/{progress.total}",
        progress.reason,
        restarts,
        columns.age(obj, now),
        (ips[0].get("ip") if ips else "") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _gates(obj),
    ]


class _Progress:
    """What the STATUS column says, and the counts beside it; source: printers.go, printPod."""

    def __init__(self, pod: Object) -> None:
        spec, status = pod["spec"], pod.get("status") or {}
        self.restarts = 0
        self.last_restart = ""
        self.ready = 0
        inits = spec.get("initContainers") or ()
        self._sidecars = {container["name"] for container in inits if container.get("restartPolicy") == "Always"}
        self.total = len(spec.get("containers") or ()) + len(self._sidecars)
        self.reason = status.get("reason") or status.get("phase", "")
        scheduled = condition_of(pod, "PodScheduled")
        if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
            self.reason = "SchedulingGated"
        waits = self._initializing(status.get("initContainerStatuses") or (), len(inits))
        if not waits or is_true(pod, "Initialized"):
            self._running(pod, status)
        phase = status.get("phase")
        if is_terminating(pod):
            if status.get("reason") == "NodeLost":
                self.reason = "Unknown"
            elif phase not in TERMINAL:
                self.reason = "Terminating"

    def _initializing(self, statuses: Sequence[Object], count: int) -> bool:
        sidecar_restarts, sidecar_last = 0, ""
        for position, status in enumerate(statuses):
            sidecar = status["name"] in self._sidecars
            self._count(status)
            if sidecar:
                sidecar_restarts += status.get("restartCount", 0)
                sidecar_last = max(sidecar_last, _last_end(status))
            state = status.get("state") or {}
            ended, waiting = state.get("terminated"), state.get("waiting") or {}
            if ended is not None and not ended.get("exitCode"):
                continue
            if sidecar and status.get("started"):
                self.ready += bool(status.get("ready"))
                continue
            if ended is not None:
                self.reason = "Init:" + _end_reason(ended)
            elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
                self.reason = "Init:" + waiting["reason"]
            else:
                self.reason = f"Init:{position}/{count}"
            self._sidecar_restarts = (sidecar_restarts, sidecar_last)
            return True
        self._sidecar_restarts = (sidecar_restarts, sidecar_last)
        return False

    def _running(self, pod: Object, status: Object) -> None:
        self.restarts, self.last_restart = self._sidecar_restarts
        running, error = False, ""
        for container in reversed(status.get("containerStatuses") or ()):
            self._count(container)
            state = container.get("state") or {}
            waiting, ended = state.get("waiting") or {}, state.get("terminated")
            if waiting.get("reason"):
                self.reason = waiting["reason"]
            elif ended is not None:
                self.reason = _end_reason(ended)
                if ended.get("exitCode"):
                    error = self.reason
            elif container.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed":
            if running and is_true(pod, "Ready"):
                self.reason = "Running"
            elif error:
                self.reason = error
            elif running:
                self.reason = "NotReady"

    def _count(self, status: Object) -> None:
        self.restarts += status.get("restartCount", 0)
        self.last_restart = max(self.last_restart, _last_end(status))


def _last_end(status: Object) -> str:
    ended: str = dig(status, "lastState", "terminated", "finishedAt", default="")
    return ended


def _end_reason(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _gates(pod: Object) -> str:
    gates = pod["spec"].get("readinessGates") or ()
    if not gates:
        return "<none>"
    return f"{sum(is_true(pod, gate['conditionType']) for gate in gates)}/{len(gates)}"


KIND = Kind(
    group="",
    version="v1",
    name="Pod",
    plural="pods",
    definition="io.k8s.api.core.v1.Pod",
    short_names=("po",),
    categories=("all",),
    subresources=(
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "proxy",
        "resize",
        "status",
    ),
    strategy=PodStrategy(),
    columns=(
        columns.NAME,
        Column("Ready", description="The aggregate readiness state of this pod for accepting traffic."),
        Column("Status", description="The aggregate status of the containers in this pod."),
        Column("Restarts", description="How often the containers in this pod restarted, and when the last one did."),
        columns.AGE,
        Column("IP", priority=1, description="The pod's primary address."),
        Column("Node", priority=1, description="The node this pod runs on."),
        Column("Nominated Node", priority=1, description="The node this pod is expected to run on after preemption."),
        Column(
            "Readiness Gates", priority=1, description="The conditions that readiness waits for besides containers."
        ),
    ),
    cells=_cells,
    fields={
        "spec.nodeName": lambda obj: obj["spec"].get("nodeName", ""),
        "spec.restartPolicy": lambda obj: obj["spec"].get("restartPolicy", ""),
        "spec.schedulerName": lambda obj: obj["spec"].get("schedulerName", ""),
        "spec.serviceAccountName": lambda obj: obj["spec"].get("serviceAccountName", ""),
        "spec.hostNetwork": lambda obj: "true" if obj["spec"].get("hostNetwork") else "false",
        "status.phase": lambda obj: dig(obj, "status", "phase", default=""),
        "status.podIPs": lambda obj: "",  # upstream knows the name and no value
        "status.podIP": lambda obj: dig(obj, "status", "podIP", default=""),
        "status.nominatedNodeName": lambda obj: dig(obj, "status", "nominatedNodeName", default=""),
    },
)
