"""A pod's RuntimeClass brings its overhead, and where pods of that class run.

Source: plugin/pkg/admission/runtimeclass.
"""

from __future__ import annotations

from pylet.api.object import Key, Object
from pylet.server.admission.interface import CREATE, Attributes, Plugin

_OTHER = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
_ALONE = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


async def admit(write: Attributes) -> None:
    found = _class_of(write)
    if found is None:
        return
    assert write.obj is not None
    spec = write.obj["spec"]
    if "overhead" in found:
        fixed = found["overhead"].get("podFixed") or {}
        if spec.get("overhead") and spec["overhead"] != fixed:
            raise write.forbidden(_OTHER)
        spec["overhead"] = dict(fixed)
    if "scheduling" in found:
        _schedule(write, spec, found["scheduling"])


async def validate(write: Attributes) -> None:
    assert write.obj is not None
    spec, found = write.obj["spec"], _class_of(write)
    if found is not None and "overhead" in found:
        if (spec.get("overhead") or {}) != (found["overhead"].get("podFixed") or {}):
            raise write.forbidden(_OTHER)
    elif spec.get("overhead"):
        raise write.forbidden(_ALONE)


def _class_of(write: Attributes) -> Object | None:
    assert write.obj is not None
    named = write.obj["spec"].get("runtimeClassName")
    if named is None:
        return None
    entry = write.table("RuntimeClass").entries.get(Key("", named))
    if entry is None:
        raise write.forbidden(f'pod rejected: RuntimeClass "{named}" not found')
    return entry.object


def _schedule(write: Attributes, spec: Object, scheduling: Object) -> None:
    selector = dict(spec.get("nodeSelector") or {})
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.setdefault(key, value) != value:
            raise write.forbidden(
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
    if selector:
        spec["nodeSelector"] = selector
    tolerations = _merged([*(spec.get("tolerations") or ()), *(scheduling.get("tolerations") or ())])
    if tolerations:
        spec["tolerations"] = tolerations


def _merged(tolerations: list[Object]) -> list[Object]:
    """Without those that others contain; of equal ones the first. Source: pkg/util/tolerations."""
    merged: list[Object] = []
    for position, one in enumerate(tolerations):
        if any(_contains(other, one) for other in merged):
            continue
        if not any(other != one and _contains(other, one) for other in tolerations[position + 1 :]):
            merged.append(one)
    return merged


def _contains(larger: Object, one: Object) -> bool:
    if larger == one:
        return True
    exists = larger.get("operator") == "Exists"
    if (one.get("key") or "") != (larger.get("key") or "") and (larger.get("key") or not exists):
        return False
    if larger.get("effect") and one.get("effect") != larger["effect"]:
        return False
    if larger.get("effect") == "NoExecute":
        longest = larger.get("tolerationSeconds")
        seconds = one.get("tolerationSeconds")
        if longest is not None and (seconds is None or seconds > longest):
            return False
    return exists or (one.get("operator") == "Equal" and (larger.get("value") or "") == (one.get("value") or ""))


PLUGIN = Plugin("RuntimeClass", {"pods": frozenset((CREATE,))}, admit, validate)
