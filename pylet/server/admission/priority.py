"""A pod's priority is the number its PriorityClass stands for; one class at most is the default.

Source: plugin/pkg/admission/priority.
"""

from __future__ import annotations

from pylet.api.object import Key, Object
from pylet.client.view import Table
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin


async def admit(write: Attributes) -> None:
    if write.kind.name == "PriorityClass":
        return
    if write.operation == CREATE:
        _resolve(write)
    else:
        assert write.obj is not None
        assert write.old is not None
        for field in ("priority", "preemptionPolicy"):
            if field not in write.obj["spec"] and field in write.old["spec"]:
                write.obj["spec"][field] = write.old["spec"][field]


async def validate(write: Attributes) -> None:
    assert write.obj is not None
    if write.kind.name != "PriorityClass" or not write.obj.get("globalDefault"):
        return
    default = _default_class(write.table("PriorityClass"))
    if default is not None and (write.operation == CREATE or default["metadata"]["name"] != write.key.name):
        named = default["metadata"]["name"]
        raise write.forbidden(f"PriorityClass {named} is already marked as default. Only one default can exist")


def _resolve(write: Attributes) -> None:
    assert write.obj is not None
    spec = write.obj["spec"]
    classes = write.table("PriorityClass")
    found: Object | None
    if named := spec.get("priorityClassName"):
        entry = classes.entries.get(Key("", named))
        if entry is None:
            raise write.forbidden(f"no PriorityClass with name {named} was found")
        found = entry.object
    else:
        found = _default_class(classes)
        if found is not None:
            spec["priorityClassName"] = found["metadata"]["name"]
    value = found.get("value", 0) if found else 0
    policy = found.get("preemptionPolicy") if found else "PreemptLowerPriority"
    says = (
        "must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name"
    )
    if spec.setdefault("priority", value) != value:
        raise write.forbidden(f"the integer value of priority ({spec['priority']}) {says.format(value)}")
    if policy and spec.setdefault("preemptionPolicy", policy) != policy:
        asked = spec["preemptionPolicy"]
        raise write.forbidden(f"the string value of PreemptionPolicy ({asked}) {says.format(policy)}")


def _default_class(classes: Table) -> Object | None:
    """The default; of several, which only a race can make, the lowest."""
    defaults = [entry.object for entry in classes.entries.values() if b'"globalDefault":true' in entry.raw]
    return min(defaults, key=lambda found: found.get("value", 0), default=None)


PLUGIN = Plugin(
    "Priority", {"pods": frozenset((CREATE, UPDATE)), "priorityclasses": frozenset((CREATE, UPDATE))}, admit, validate
)
