"""A new node is tainted as not ready, so that nothing is scheduled before it says that it is.

Source: plugin/pkg/admission/nodetaint.
"""

from __future__ import annotations

from pylet.server.admission.interface import CREATE, Attributes, Plugin

_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


async def admit(write: Attributes) -> None:
    assert write.obj is not None
    taints = write.obj.setdefault("spec", {}).setdefault("taints", [])
    if not any(taint.get("key") == _NOT_READY["key"] and taint.get("effect") == "NoSchedule" for taint in taints):
        taints.append(dict(_NOT_READY))


PLUGIN = Plugin("TaintNodesByCondition", {"nodes": frozenset((CREATE,))}, admit)
