"""When one container's end makes all of the pod's begin anew, in the sandbox they have. Pure.

Nothing is remembered: the container that asked for it is removed last, so until then it says what is under way.
Source: upstream `pkg/kubelet/kuberuntime/kuberuntime_manager.go` (getContainersToReset) and
`pkg/kubelet/kubelet_pods.go` (convertToAPIContainerStatuses).
"""

from __future__ import annotations

from pylet.agent.kubelet.observed import Container, Observed
from pylet.agent.kubelet.spec import app_containers, init_containers
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, is_terminating
from pylet.api.podtemplate import TERMINAL
from pylet.api.restarts import all_could_restart, restarts_all

REASON = "RestartingAllContainers"
_WHY = {"reason": REASON, "message": "The container is removed because RestartAllContainers in place"}
REMOVED: tuple[Object, Object] = (
    {"waiting": _WHY},
    {"terminated": {"exitCode": 137, **_WHY, "startedAt": None, "finishedAt": None}},
)
"""State and last state of a container that has gone."""


def to_reset(pod: Object, observed: Observed) -> list[Container]:
    """Every instance there is, in the order to remove them; none while nobody asks for it."""
    asking: list[Container] = []
    others: list[Container] = []
    for container in (*app_containers(pod), *init_containers(pod)):
        for instance in reversed(observed.containers.get(container["name"], ())):
            asks = instance.is_finished and restarts_all(container, instance.exit_code)
            (asking if asks else others).append(instance)
    current = {id(observed.latest(name)) for name in observed.containers}
    return [*others, *asking] if any(id(instance) in current for instance in asking) else []


def condition(pod: Object, observed: Observed, phase: str) -> list[Object]:
    """What the pod says of it, if it can happen to the pod at all."""
    if not all_could_restart(pod["spec"]):
        return []
    found: Object = {"type": "AllContainersRestarting", "status": "False"}
    if phase in TERMINAL:
        found["reason"] = "PodCompleted" if phase == "Succeeded" else "PodFailed"
    elif to_reset(pod, observed):
        words = "container exited with restart policy rule"
        found |= {"status": "True", "reason": "RestartAllContainersStarted", "message": words}
    return [found]


def was_removed(pod: Object, container: Object, observed: Observed, old: Object) -> bool:
    """Whether it has gone for all to begin anew: `old`, its status, still knows of it, the runtime does not."""
    if is_terminating(pod) or observed.sandbox is None or not all_could_restart(pod["spec"]):
        return False
    runs_once = container in init_containers(pod) and not is_sidecar(container)
    if runs_once and any(observed.latest(app["name"]) for app in app_containers(pod)):
        return False
    return observed.latest(container["name"]) is None and _is_known(old)


def restarts_so_far(container: Object, status: Object) -> int:
    """How often a container was started again that the runtime does not know, by the pod's `status`."""
    known = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    old: Object = next((entry for entry in known if entry["name"] == container["name"]), {})
    return int(old.get("restartCount", 0)) + (1 if _is_known(old) else 0)


def _is_known(old: Object) -> bool:
    return bool({"running", "terminated"} & old.get("state", {}).keys())
