"""A running pod is not resized beyond what its node could ever give. Source: plugin/pkg/admission/podresize."""

from __future__ import annotations

from pylet.api import podresources, quantity
from pylet.api.errors import Forbidden
from pylet.api.object import Key, Object, dig
from pylet.server.admission.interface import UPDATE, Attributes, Plugin

_OS = "kubernetes.io/os"


async def validate(write: Attributes) -> None:
    assert write.obj is not None
    assert write.old is not None
    name = write.obj["spec"].get("nodeName")
    if not name or write.obj["metadata"].get("generation") == write.old["metadata"].get("generation"):
        return
    entry = write.table("Node").entries.get(Key("", name))
    if entry is None:
        raise write.forbidden(f'node "{name}" not found')
    system = entry.labels.get(_OS, "linux")
    if system != "linux":
        why = f'pod resize is only supported on linux nodes, node "{name}" is "{system}"'
        raise _because(write.forbidden(why), "UnsupportedPlatform")
    if short := _short(write.obj, dig(entry.object, "status", "allocatable", default={})):
        why = f"node didn't have enough allocatable resources: {'; '.join(short)}"
        raise _because(write.forbidden(why), "NodeCapacity")


def _short(pod: Object, allocatable: Object) -> list[str]:
    asked = podresources.requests({**pod, "status": {}}, is_live=True)
    found = []
    for name, unit in (("cpu", quantity.milli_of), ("memory", quantity.value_of)):
        wanted, given = unit(str(asked.get(name, "0"))), unit(str(allocatable.get(name, "0")))
        if wanted > given:
            found.append(f"{name}, requested: {wanted}, allocatable: {given}")
    return found


def _because(refusal: Forbidden, reason: str) -> Forbidden:
    refusal.details = {**(refusal.details or {}), "causes": [{"reason": reason}]}
    return refusal


PLUGIN = Plugin("PodResizeValidator", {"pods/resize": frozenset((UPDATE,))}, validate=validate)
