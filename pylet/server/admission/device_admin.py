"""Only namespaces that an administrator has labelled may claim devices that others use.

Source: pkg/registry/resource/utils.go, AuthorizedForAdmin, which upstream's strategies call.
"""

from __future__ import annotations

from pylet.api import causes
from pylet.api.errors import Invalid
from pylet.api.object import Key, dig, labels_of
from pylet.server.admission.interface import CREATE, Attributes, Plugin

_LABEL = "resource.kubernetes.io/admin-access"
_RESOURCES = ("resourceclaims", "resourceclaimtemplates")


async def admit(write: Attributes) -> None:
    assert write.obj is not None
    spec = write.obj.get("spec") or {}
    if write.kind.plural == "resourceclaimtemplates":
        spec = spec.get("spec") or {}
    for position, request in enumerate(dig(spec, "devices", "requests", default=())):
        if dig(request, "exactly", "adminAccess"):
            namespace = write.table("Namespace").entries.get(Key("", write.key.namespace))
            if namespace is None or labels_of(namespace.object).get(_LABEL) != "true":
                says = f"admin access to devices requires the `{_LABEL}: true` label on the containing namespace"
                cause = causes.forbidden(f"spec.devices.requests[{position}].adminAccess", says)
                raise Invalid(write.kind.group, write.kind.name, write.name, (cause,))
            return


PLUGIN = Plugin("ResourceClaimAdminAccess", {name: frozenset((CREATE,)) for name in _RESOURCES}, admit)
