"""Claims of devices with admin access."""

from __future__ import annotations

from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Object
from tests.server.kit import Api, refused

REQUEST: Object = {"name": "r", "exactly": {"deviceClassName": "c", "adminAccess": True}}
CLAIM: Object = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "ResourceClaim",
    "metadata": {"name": "x", "namespace": "a"},
    "spec": {"devices": {"requests": [REQUEST]}},
}
TEMPLATE: Object = {**CLAIM, "kind": "ResourceClaimTemplate", "spec": {"spec": CLAIM["spec"]}}


async def test_admin_access_takes_a_label_on_the_namespace(api: Api) -> None:
    for obj in (CLAIM, TEMPLATE):
        (cause,) = (await refused(api.create(obj)))["details"]["causes"]
        assert cause["field"] == "spec.devices.requests[0].adminAccess"
    label = {"resource.kubernetes.io/admin-access": "true"}
    await api.patch(NAMESPACE, "", "a", {"metadata": {"labels": label}})
    for obj in (CLAIM, TEMPLATE):
        await api.create(obj)
