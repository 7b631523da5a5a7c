"""A volume that its driver's controller has made larger: whether the node must grow it too, and what its claim says.

All but `tell` is pure: each answer is what changes in the claim's status. Source: upstream
`pkg/volume/util/operationexecutor/node_expander.go`, `pkg/volume/util/resize_util.go`, `pkg/volume/csi/expander.go`.
"""

from __future__ import annotations

from datetime import datetime

from pylet.agent.kubelet.volumes.interface import Place
from pylet.api import quantity, timestamps
from pylet.api.object import Object, dig

_PENDING, _IN_PROGRESS, _INFEASIBLE = "NodeResizePending", "NodeResizeInProgress", "NodeResizeInfeasible"
_ERROR = "NodeResizeError"
_CONDITIONS = ("Resizing", "FileSystemResizePending", "ControllerResizeError", _ERROR)
_NEVER = ("InvalidArgument", "OutOfRange", "NotFound")


def due(claim: Object, volume: Object) -> str:
    """How large the node must make the volume, "" while that is not its turn.

    A resizer that knows no recovery says nothing of states and sizes: then the volume's own size is the word.
    """
    size = str(dig(volume, "spec", "capacity", "storage", default="0"))
    had = str(dig(claim, "status", "capacity", "storage", default="0"))
    allocated = dig(claim, "status", "allocatedResources", "storage")
    is_ours = _state(claim) in (_PENDING, _IN_PROGRESS) or not (_state(claim) or allocated)
    is_larger = quantity.value_of(size) > quantity.value_of(had)
    return str(allocated or size) if is_larger and is_ours else ""


def begun(claim: Object) -> Object:
    """Nothing where it says so already."""
    return {} if _state(claim) == _IN_PROGRESS else {"allocatedResourceStatuses": {"storage": _IN_PROGRESS}}


def finished(claim: Object, size: str) -> Object:
    conditions = [each for each in _conditions(claim) if each["type"] not in _CONDITIONS]
    return {"capacity": {"storage": size}, "conditions": conditions, "allocatedResourceStatuses": {"storage": None}}


async def tell(place: Place, claim: Object, size: str) -> None:
    """That the volume has that size now. Raises: ApiError."""
    says = f'MountVolume.NodeExpandVolume succeeded for volume "{place.name}" {place.pod["spec"]["nodeName"]}'
    for about in (place.pod, claim):
        place.host.tell(about, "Normal", "FileSystemResizeSuccessful", says)
    await place.references.say(claim, finished(claim, size))


def refused(claim: Object, size: str, code: str, words: str, now: datetime) -> Object:
    """After the driver's last word. A size that can never be is left to the controller to take back; so is one that
    failed before and is no longer what the claim asks for."""
    others = [each for each in _conditions(claim) if each["type"] != _ERROR]
    error = {
        "type": _ERROR,
        "status": "True",
        "lastTransitionTime": timestamps.format_time(now),
        "message": f"failed to expand pvc with {words}",
    }
    failed_before = len(others) < len(_conditions(claim))
    asked = dig(claim, "spec", "resources", "requests", "storage", default=size)
    is_stale = failed_before and quantity.value_of(asked) != quantity.value_of(size)
    if code in _NEVER or is_stale:
        return {"conditions": [*others, error], "allocatedResourceStatuses": {"storage": _INFEASIBLE}}
    return {} if failed_before else {"conditions": [*others, error]}


def _state(claim: Object) -> str:
    return str(dig(claim, "status", "allocatedResourceStatuses", "storage", default=""))


def _conditions(claim: Object) -> list[Object]:
    return list(dig(claim, "status", "conditions", default=()) or ())
