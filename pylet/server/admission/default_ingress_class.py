"""An ingress that names no class gets the default one. Source: plugin/pkg/admission/network/defaultingressclass."""

from __future__ import annotations

from pylet.api import defaultclass
from pylet.api.kinds.ingressclass import is_default
from pylet.api.object import annotations_of
from pylet.server.admission.interface import CREATE, Attributes, Plugin

_CLASS = "kubernetes.io/ingress.class"


async def admit(write: Attributes) -> None:
    ingress = write.obj
    assert ingress is not None
    spec = ingress.setdefault("spec", {})
    if spec.get("ingressClassName") is not None or _CLASS in annotations_of(ingress):
        return
    default = defaultclass.newest((entry.object for entry in write.table("IngressClass").entries.values()), is_default)
    if default is not None:
        spec["ingressClassName"] = default["metadata"]["name"]


PLUGIN = Plugin("DefaultIngressClass", {"ingresses": frozenset((CREATE,))}, admit)
