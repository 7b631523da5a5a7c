"""What the API is told of a pod: phase, addresses and container statuses as upstream orders and words them. Pure.

Source: upstream `pkg/kubelet/kubelet_pods.go` (generateAPIPodStatus, convertToAPIContainerStatuses) and
`pkg/kubelet/prober/prober_manager.go` (UpdatePodStatus).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pylet.agent.kubelet import restart_all, whole
from pylet.agent.kubelet.actions import OUT_OF_TIME
from pylet.agent.kubelet.conditions import conditions
from pylet.agent.kubelet.observed import GROUP, Container, Observed
from pylet.agent.kubelet.phase import phase
from pylet.agent.kubelet.spec import (
    app_containers,
    ephemeral_containers,
    init_containers,
    is_host_network,
    qos_class,
)
from pylet.api import timestamps
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig, is_terminating
from pylet.api.podtemplate import TERMINAL
from pylet.api.restarts import all_could_restart, restarts
from pylet.cri.messages import ContainerState

_UNKNOWN = "ContainerStatusUnknown"
_PASSED: Object = {
    "exitCode": 0,
    "reason": "Completed",
    "message": "Unable to get init container status from container runtime and pod has been initialized, "
    "treat it as exited normally",
    "startedAt": None,
    "finishedAt": None,
}
"""How an init container ended of which neither the runtime nor the API knows, of a pod that got further."""
_NEVER = datetime.fromtimestamp(0, UTC)
"""When what could not be started has started, as upstream tells it."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else the status says: `waiting` by container, (reason, message); `failure` of the pod as a whole."""

    host_ips: tuple[str, ...]
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    failure: tuple[str, str] | None = None
    passing: Sequence[Object] = ()
    """Conditions that come and go: of a resize under way, of a disruption."""
    busy: Collection[str] = ()
    """Slots where something is being started or stopped: what was not seen to run may run."""
    devices: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    """By container, how the devices it was given fare."""
    node: Object = field(default_factory=dict)
    """As the API has it, with what its runtime can."""


def pod_status(pod: Object, observed: Observed, facts: Circumstances, now: datetime) -> Object:
    """The whole status; what others wrote (their conditions, resource claims, …) is kept."""
    old: Object = pod.get("status") or {}
    known = _known(old)
    if facts.failure is not None and not (known or observed.sandboxes or observed.containers or facts.busy):
        return _refused(pod, facts.failure, now)
    is_ending = is_terminating(pod) or facts.failure is not None or old.get("phase") in TERMINAL
    observed = _without_halves(observed, facts.busy)

    if is_ending:
        observed = replace(observed, anew=())  # nothing follows any more
    if is_terminating(pod):
        facts = replace(facts, waiting={})  # nor does anything wait to be started
    may_run = bool(observed.running) or bool(is_ending and facts.busy)

    def describe(container: Object) -> Object:
        return _container_status(pod, container, observed, facts, known.get(container["name"], {}))

    inits = [describe(container) for container in init_containers(pod)]
    apps = [_with_devices(describe(container), facts) for container in app_containers(pod)]
    others = [describe(container) for container in ephemeral_containers(pod)]
    if is_ending and not may_run and observed.sandbox is None:
        inits, apps = _lost(inits), [_ended(status, pod) for status in apps]
    statuses = {status["name"]: status for status in (*inits, *apps)}
    has_begun = any(_is_active(observed, container["name"]) for container in app_containers(pod))
    ended = {name: next((c for c in group if c.is_finished), None) for name, group in observed.containers.items()}
    anew = {name for name, last in ended.items() if last is not None and last.id in observed.anew}
    found = phase(pod, statuses, is_ending=is_ending, has_begun=has_begun, anew=anew)
    found = _kept_phase(found, old, facts.failure, is_ending=is_ending, may_run=may_run)
    passing = [*facts.passing, *restart_all.condition(pod, observed, found)]
    return {
        **{name: old[name] for name in ("resourceClaimStatuses", "extendedResourceClaimStatus") if name in old},
        "observedGeneration": pod["metadata"].get("generation", 0),
        "phase": found,
        "conditions": conditions(pod, found, statuses, passing, now, sandboxed=observed.sandbox is not None),
        "hostIP": facts.host_ips[0] if facts.host_ips else "",
        "hostIPs": [{"ip": ip} for ip in facts.host_ips],
        "startTime": old.get("startTime") or timestamps.format_time(now),
        "qosClass": old.get("qosClass") or qos_class(pod),
        **({"initContainerStatuses": inits} if inits else {}),
        "containerStatuses": _by_name(apps),
        **({"ephemeralContainerStatuses": _by_name(others)} if others else {}),
        **_addresses(facts.host_ips if is_host_network(pod) else _pod_ips(observed, old)),
        **_pod_resources(pod, observed, found),
        **_why(found, facts.failure, old),
    }


def _without_halves(observed: Observed, busy: Collection[str]) -> Observed:
    """An instance that is made and still being started is told of when that has come to something."""
    halves = {
        name: group[1:]
        for name, group in observed.containers.items()
        if name in busy and group and group[0].state is ContainerState.CREATED
    }
    return replace(observed, containers={**observed.containers, **halves}) if halves else observed


def _kept_phase(found: str, old: Object, failure: tuple[str, str] | None, *, is_ending: bool, may_run: bool) -> str:
    """What containers make of the phase, held against what the pod has been told to be.

    Who has to go and ends well has succeeded, as with upstream, unless it is out of its own time.
    """
    if old.get("phase") in TERMINAL:
        return str(old["phase"])  # a pod does not come back from either
    is_failed = failure is not None and (found != "Succeeded" or failure[0] == OUT_OF_TIME)
    if is_failed or (is_ending and not may_run and found not in TERMINAL):
        found = "Failed"
    if found in TERMINAL and may_run:
        return old.get("phase") or "Pending"  # what still runs still uses what the pod was given
    return found


def _by_name(statuses: list[Object]) -> list[Object]:
    return sorted(statuses, key=lambda status: str(status["name"]))


def _addresses(ips: tuple[str, ...]) -> Object:
    return {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]} if ips else {}


def _pod_resources(pod: Object, observed: Observed, found: str) -> Object:
    """Those of the pod as a whole, granted and in force."""
    is_running, allocated = found == "Running", whole.allocated(pod)
    in_force = observed.enforced.get(GROUP) if is_running else None
    resources = whole.resources(pod, is_running=is_running) if in_force is None else in_force
    return {"resources": resources, **({"allocatedResources": allocated} if allocated else {})}


def _why(found: str, failure: tuple[str, str] | None, old: Object) -> Object:
    if failure is not None and found == "Failed":
        return {"reason": failure[0], "message": failure[1]}
    return {name: old[name] for name in ("reason", "message") if name in old and found == old.get("phase")}


def _refused(pod: Object, failure: tuple[str, str], now: datetime) -> Object:
    """Of a pod that the node did not take nothing is told but why: so kubectl shows the reason."""
    old: Object = pod.get("status") or {}
    return {
        **old,
        "observedGeneration": pod["metadata"].get("generation", 0),
        "phase": "Failed",
        "reason": failure[0],
        "message": failure[1],
        "startTime": old.get("startTime") or timestamps.format_time(now),
        "qosClass": old.get("qosClass") or qos_class(pod),
    }


def _known(status: Object) -> dict[str, Object]:
    fields = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return {entry["name"]: entry for name in fields for entry in status.get(name) or ()}


def _pod_ips(observed: Observed, old: Object) -> tuple[str, ...]:
    """A pod that has ended keeps the addresses it had."""
    if observed.sandboxes and observed.sandboxes[0].ips:
        return observed.sandboxes[0].ips
    return tuple(entry["ip"] for entry in old.get("podIPs") or ())


def _has_been_made(pod: Object, observed: Observed) -> bool:
    """Whether it got as far as its app containers."""
    return any(observed.latest(container["name"]) is not None for container in app_containers(pod))


def _is_active(observed: Observed, name: str) -> bool:
    last = observed.current(name)
    return last is not None and last.state in (ContainerState.RUNNING, ContainerState.EXITED)


# ---- containers


def _container_status(pod: Object, container: Object, observed: Observed, facts: Circumstances, old: Object) -> Object:
    name = container["name"]
    last = observed.latest(name)
    removed = restart_all.was_removed(pod, container, observed, old)
    if last is None and not removed and "terminated" in old.get("state", {}) and name not in facts.waiting:
        return {**old, "ready": _runs_once(pod, container) and old["state"]["terminated"].get("exitCode") == 0}
    if last is not None and not last.is_finished and _is_final(pod, container, old):
        return old  # the API does not take back what it was told: whatever runs there again is not the pod's
    state, previous = restart_all.REMOVED if removed else _states(pod, container, observed, facts, old)
    started, ready = _readiness(pod, container, last, observed, old)
    status: Object = {
        "name": name,
        "state": state,
        "lastState": previous,
        "ready": ready,
        "restartCount": last.restarts if last is not None else _restarts_before(pod, old, removed=removed),
        "image": last.image if last is not None else container.get("image", ""),
        "imageID": last.image_ref if last is not None else "",
        "started": started,
    }
    if last is None and not removed and _runs_once(pod, container) and _has_been_made(pod, observed):
        status |= {"state": {"terminated": _PASSED}, "ready": True}
    if last is not None:
        status["containerID"] = f"containerd://{last.id}"
        status |= _resources(container, observed.enforced.get(last.id) if last.is_running else None)
        if last.user is not None:
            uid, gid, groups = last.user
            status["user"] = {"linux": {"uid": uid, "gid": gid, "supplementalGroups": list(groups)}}
    if mounts := container.get("volumeMounts"):
        status["volumeMounts"] = old.get("volumeMounts") or _mount_statuses(pod, mounts, facts.node)
    return status


def _is_final(pod: Object, container: Object, old: Object) -> bool:
    """Whether it was reported to have ended, with an end that nothing follows."""
    ended = old.get("state", {}).get("terminated")
    return ended is not None and _is_last(pod, container, int(ended.get("exitCode", 0)))


def _is_last(pod: Object, container: Object, exit_code: int) -> bool:
    return not (all_could_restart(pod["spec"]) or restarts(pod["spec"], container, exit_code))


def _resources(container: Object, enforced: Object | None) -> Object:
    """What a running container has, and what it was granted."""
    resources = container.get("resources") or {}
    found: Object = {"resources": resources if enforced is None else enforced}
    if requests := resources.get("requests"):
        found["allocatedResources"] = requests
    return found


def _with_devices(status: Object, facts: Circumstances) -> Object:
    devices = facts.devices.get(status["name"])
    return {**status, "allocatedResourcesStatus": devices} if devices else status


def _mount_statuses(pod: Object, mounts: Iterable[Object], node: Object) -> list[Object]:
    """What a class's handler is called is not known here: all handlers of one runtime can the same."""
    handlers = dig(node, "status", "runtimeHandlers", default=())
    mine = [handler for handler in handlers if pod["spec"].get("runtimeClassName") or not handler.get("name")]
    able = any(dig(handler, "features", "recursiveReadOnlyMounts") for handler in mine)
    return [_mount_status(mount, able=able) for mount in mounts]


def _mount_status(mount: Object, *, able: bool) -> Object:
    found = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if not mount.get("readOnly"):
        return found
    asked = mount.get("recursiveReadOnly") in ("Enabled", "IfPossible")
    is_recursive = asked and able and mount.get("mountPropagation", "None") == "None"
    return {**found, "readOnly": True, "recursiveReadOnly": "Enabled" if is_recursive else "Disabled"}


def _states(
    pod: Object, container: Object, observed: Observed, facts: Circumstances, old: Object
) -> tuple[Object, Object]:
    name = container["name"]
    last = observed.latest(name)
    before = _before(observed.containers.get(name, ()), old)
    goes_on = last is not None and last.is_finished and last.id in observed.anew
    if last is not None and last.is_finished and not goes_on and _is_last(pod, container, last.exit_code):
        return _terminated(last), before  # whatever came of its start: nothing follows
    if name in facts.waiting and (last is None or not last.is_running):
        reason, message = facts.waiting[name]
        waiting = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        return waiting, _terminated(last) if last is not None and last.is_finished else before
    not_begun = {"waiting": {"reason": "PodInitializing" if init_containers(pod) else "ContainerCreating"}}
    if last is None:
        if "running" in old.get("state", {}) and not before:
            words = "The container could not be located when the pod was deleted.  The container used to be Running"
            before = {"terminated": _unknown_end(words)}
        return not_begun, before
    if last.is_running:
        since = timestamps.format_time(last.started_at) if last.started_at is not None else None
        return {"running": {"startedAt": since} if since else {}}, before
    if goes_on:  # the API would not take back an end that nothing follows by the pod's rules: it is told with the next
        return old["state"] if "running" in old.get("state", {}) else not_begun, before
    if last.is_finished:
        return _terminated(last), before
    return not_begun, before


def _before(instances: tuple[Container, ...], old: Object) -> Object:
    """How the instance before the newest ended: the runtime knows, or what was reported when it still did."""
    if len(instances) > 1 and instances[1].is_finished:
        return _terminated(instances[1])
    is_new = bool(instances) and old.get("containerID") != f"containerd://{instances[0].id}"
    if is_new and "terminated" in old.get("state", {}):
        return {"terminated": old["state"]["terminated"]}
    found: Object = old.get("lastState", {})
    return found


def _restarts_before(pod: Object, old: Object, *, removed: bool) -> int:
    lost = "running" in old.get("state", {}) and not old.get("lastState") and not is_terminating(pod)
    return int(old.get("restartCount", 0)) + (1 if lost or removed else 0)


def _terminated(container: Container) -> Object:
    reason = container.reason or ("Completed" if container.exit_code == 0 else "Error")
    ended: Object = {"exitCode": container.exit_code, "reason": reason, "containerID": f"containerd://{container.id}"}
    if container.message:
        ended["message"] = container.message
    ended["startedAt"] = timestamps.format_time(container.started_at or _NEVER)
    if container.finished_at is not None:
        ended["finishedAt"] = timestamps.format_time(container.finished_at)
    return {"terminated": ended}


def _unknown_end(message: str) -> Object:
    return {"exitCode": 137, "reason": _UNKNOWN, "message": message, "startedAt": None, "finishedAt": None}


def _ended(status: Object, pod: Object) -> Object:
    """An app container of a pod that is over: one without an end is said to have failed, if the pod ever ran."""
    if "terminated" in status["state"] or not _has_run(pod):
        return status
    words = "The container could not be located when the pod was terminated"
    return {**status, "state": {"terminated": _unknown_end(words)}, "ready": False, "started": False}


def _lost(inits: Iterable[Object]) -> list[Object]:
    """The same for init containers: all that have begun."""
    listed = list(inits)
    begun = max((i for i, s in enumerate(listed) if "terminated" in s["state"] or s["lastState"]), default=-1)
    words = "The container could not be located when the pod was terminated"
    return [
        {**status, "state": {"terminated": _unknown_end(words)}}
        if index < begun and "terminated" not in status["state"]
        else status
        for index, status in enumerate(listed)
    ]


def _has_run(pod: Object) -> bool:
    """Whether it was initialized, as reported."""
    known = dig(pod, "status", "containerStatuses", default=[])
    return any("running" in s.get("state", {}) or s.get("lastState") for s in known)


def _runs_once(pod: Object, container: Object) -> bool:
    return container in init_containers(pod) and not is_sidecar(container)


def _readiness(
    pod: Object, container: Object, last: Container | None, observed: Observed, old: Object
) -> tuple[bool, bool]:
    """Whether it has started and whether it is ready. What probes have not said yet is as it was reported last."""
    if last is None or not last.is_running:
        return False, _runs_once(pod, container) and last is not None and last.is_finished and last.exit_code == 0
    if _runs_once(pod, container) or container in ephemeral_containers(pod):
        return True, False
    probed = observed.probes(last)
    reported = old if old.get("containerID") == f"containerd://{last.id}" else {}
    started = _said(probed.started, has_probe="startupProbe" in container, before=bool(reported.get("started")))
    is_ready = _said(probed.ready, has_probe="readinessProbe" in container, before=bool(reported.get("ready")))
    return started, started and is_ready


def _said(result: bool | None, *, has_probe: bool, before: bool) -> bool:
    if not has_probe:
        return True
    return before if result is None else result
