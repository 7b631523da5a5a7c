"""Pods outlive five minutes of a node that is not ready or not reachable, unless they say otherwise.

Source: plugin/pkg/admission/defaulttolerationseconds.
"""

from __future__ import annotations

from pylet.api.object import Object
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin

_SECONDS = 300
_KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


async def admit(write: Attributes) -> None:
    assert write.obj is not None
    spec = write.obj["spec"]
    tolerations: list[Object] = spec.get("tolerations") or []
    missing = [key for key in _KEYS if not any(_covers(toleration, key) for toleration in tolerations)]
    if missing:
        spec["tolerations"] = [
            *tolerations,
            *(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
                for key in missing
            ),
        ]


def _covers(toleration: Object, key: str) -> bool:
    return (toleration.get("key") or key) == key and (toleration.get("effect") or "NoExecute") == "NoExecute"


PLUGIN = Plugin("DefaultTolerationSeconds", {"pods": frozenset((CREATE, UPDATE))}, admit)
