"""Nothing is created where no namespace is, or where one is going away; the system's namespaces stay.

Source: apiserver pkg/admission/plugin/namespace/lifecycle.
"""

from __future__ import annotations

from pylet.api.errors import Forbidden, NotFound
from pylet.api.object import Key
from pylet.server.admission.interface import CREATE, DELETE, UPDATE, Attributes, Plugin

_IMMORTAL = frozenset(("default", "kube-system", "kube-public"))


async def admit(write: Attributes) -> None:
    if write.kind.name == "Namespace":
        if write.operation == DELETE and write.key.name in _IMMORTAL:
            raise Forbidden("", "namespaces", write.key.name, "this namespace may not be deleted")
        return
    namespace = write.key.namespace
    if not namespace or write.kind.name == "LocalSubjectAccessReview":
        return
    entry = write.table("Namespace").entries.get(Key("", namespace))
    if entry is None:
        raise NotFound("", "namespaces", namespace)
    # The bytes are asked first: decoding is for the few namespaces that are going away.
    if write.operation != CREATE or b'"Terminating"' not in entry.raw:
        return
    if (entry.object.get("status") or {}).get("phase") == "Terminating":
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        refusal = write.forbidden(why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        refusal.details = {**(refusal.details or {}), "causes": [cause]}
        raise refusal


PLUGIN = Plugin("NamespaceLifecycle", {"*": frozenset((CREATE, UPDATE)), "namespaces": frozenset((DELETE,))}, admit)
