"""Which instance of a container a request for logs means, by what its pod's status says. Pure.

Source: upstream `pkg/kubelet/kubelet_pods.go`, validateContainerLogStatus.
"""

from __future__ import annotations

from pylet.api.object import Object, dig

_WHY = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}
_FIELDS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


class NoLog(Exception):
    """There is no log to show; the text says why."""


def logged_container(pod: Object, name: str, *, previous: bool) -> str:
    """The id of the container whose log is meant. Raises: NoLog."""
    who = f'container "{name}" in pod "{pod["metadata"]["name"]}"'
    listed = (entry for field in _FIELDS for entry in dig(pod, "status", field, default=()))
    status = next((entry for entry in listed if entry["name"] == name), None)
    if status is None:
        raise NoLog(f"{who} is not available")
    state, last = status.get("state") or {}, dig(status, "lastState", "terminated", "containerID") or ""
    if previous:
        if not last:
            raise NoLog(f"previous terminated {who} not found")
        return _bare(last)
    if "running" in state:
        return _bare(status.get("containerID", ""))
    if "terminated" in state or last:
        id_ = dig(state, "terminated", "containerID") or last
        if not id_:
            raise NoLog(f"{who} is terminated")
        return _bare(id_)
    if "waiting" in state:
        reason = state["waiting"].get("reason", "")
        raise NoLog(f"{who} is waiting to start: {_WHY.get(reason, reason)}")
    raise NoLog(f"{who} is waiting to start - no logs yet")


def _bare(container_id: str) -> str:
    return container_id.rpartition("/")[2]
