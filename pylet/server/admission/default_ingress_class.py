"""An ingress that names no class gets the default one, the newest if there are several.

Source: plugin/pkg/admission/network/defaultingressclass.
"""

from __future__ import annotations

from pylet.api.object import annotations_of
from pylet.server.admission.interface import CREATE, Attributes, Plugin

_CLASS = "kubernetes.io/ingress.class"
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


async def admit(write: Attributes) -> None:
    ingress = write.obj
    assert ingress is not None
    spec = ingress.setdefault("spec", {})
    if spec.get("ingressClassName") is not None or _CLASS in annotations_of(ingress):
        return
    defaults = [
        found.object["metadata"]
        for found in write.table("IngressClass").entries.values()
        if annotations_of(found.object).get(_DEFAULT) == "true"
    ]
    defaults.sort(key=lambda meta: str(meta["name"]))
    if defaults:
        spec["ingressClassName"] = max(defaults, key=lambda meta: str(meta["creationTimestamp"]))["name"]


PLUGIN = Plugin("DefaultIngressClass", {"ingresses": frozenset((CREATE,))}, admit)
