"""Who may allocate claims, and which drivers may speak of the devices in them."""

from __future__ import annotations

import pytest

from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.object import Object
from pylet.server.auth import claim_status
from pylet.server.auth.authorize import Authorizer
from pylet.server.registry import User
from tests.server.kit import Api, api, refused
from tests.server.scheduler.devices import DRIVER, HERE, claim, request

__all__ = ["api"]

GROUP = "rbac.authorization.k8s.io"
NAME = "system:serviceaccount:default:driver"
NODE = "authentication.kubernetes.io/node-name"
HERS, OTHERS = User(NAME, extra={NODE: ["n"]}), User(NAME, extra={NODE: ["m"]})
RESULT = {"request": "r", "driver": DRIVER, "pool": "p", "device": "d"}
ALLOCATION: Object = {
    "devices": {"results": [RESULT]},
    "nodeSelector": {"nodeSelectorTerms": [HERE]},
}
DEVICES = {"status": {"devices": [{"driver": DRIVER, "pool": "p", "device": "d", "data": {"a": 1}}]}}


@pytest.fixture
async def guarded(api: Api) -> Api:
    api.registry.admission.extend_before_last([claim_status.plugin(Authorizer(api.registry))])
    await api.create({**claim(request()), "metadata": {"name": "c", "namespace": "a"}})
    return api


async def allow(api: Api, verb: str, resource: str, *names: str) -> None:
    rule = {"apiGroups": [CLAIM.group], "resources": [resource], "verbs": [verb], "resourceNames": list(names)}
    await api.create({"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": [rule]})
    await api.create(
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "b"},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "driver", "namespace": "default"}],
        }
    )


async def test_allocating_takes_a_permission_of_its_own(guarded: Api) -> None:
    patch = {"status": {"allocation": ALLOCATION}}
    status = await refused(guarded.patch(CLAIM, "a", "c", patch, subresource="status", user=HERS))
    assert (
        'changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="patch" '
        f'permission: resourceclaims.resource.k8s.io is forbidden: User "{NAME}" cannot patch resource '
        '"resourceclaims/binding" in API group "resource.k8s.io" at the cluster scope'
    ) in status["message"]
    await allow(guarded, "patch", "resourceclaims/binding")
    await guarded.patch(CLAIM, "a", "c", patch, subresource="status", user=HERS)


@pytest.mark.parametrize(
    ("verb", "user", "is_allowed"),
    [
        ("associated-node:patch", HERS, True),
        ("associated-node:patch", OTHERS, False),
        ("arbitrary-node:patch", OTHERS, True),
        ("patch", HERS, False),
    ],
)
async def test_a_driver_speaks_of_devices_of_its_node(guarded: Api, verb: str, user: User, *, is_allowed: bool) -> None:
    await guarded.patch(CLAIM, "a", "c", {"status": {"allocation": ALLOCATION}}, subresource="status")
    await allow(guarded, verb, "resourceclaims/driver", DRIVER)
    speaking = guarded.patch(CLAIM, "a", "c", DEVICES, subresource="status", user=user)
    if is_allowed:
        await speaking
    else:
        assert "changing status.devices requires" in (await refused(speaking))["message"]
