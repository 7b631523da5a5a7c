"""A running pod is not changed in ways its node does not say it can follow.

Source: plugin/pkg/admission/nodedeclaredfeatures, component-helpers nodedeclaredfeatures.
"""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.object import Key, Object, dig
from pylet.server.admission.interface import UPDATE, Attributes, Plugin


async def validate(write: Attributes) -> None:
    obj, old = write.obj, write.old
    assert obj is not None
    assert old is not None
    name = obj["spec"].get("nodeName")
    if not name or obj["metadata"].get("generation") == old["metadata"].get("generation"):
        return
    required = list(_required(obj["spec"], old["spec"]))
    if not required:
        return
    entry = write.table("Node").entries.get(Key("", name))
    if entry is None:
        raise write.forbidden(f'node "{name}" not found')
    declared = dig(entry.object, "status", "declaredFeatures", default=())
    missing = [feature for feature in required if feature not in declared]
    if missing:
        what = ", ".join(missing)
        raise write.forbidden(f'pod update requires features {what} which are not available on node "{name}"')


def _required(spec: Object, old: Object) -> Iterator[str]:
    if spec.get("resources") != old.get("resources"):
        yield "InPlacePodLevelResourcesVerticalScaling"
    before = {found["name"]: found.get("resources") for found in old.get("initContainers") or ()}
    for found in spec.get("initContainers") or ():
        if found.get("restartPolicy") != "Always" and found.get("resources") != before.get(found["name"]):
            yield "InPlacePodVerticalScalingInitContainers"
            return


PLUGIN = Plugin(
    "NodeDeclaredFeatureValidator",
    dict.fromkeys(("pods", "pods/resize"), frozenset((UPDATE,))),
    validate=validate,
)
