"""Who may say what in the status of a ResourceClaim: who allocates and reserves, which driver speaks of its devices.

Source: pkg/registry/resource/utils.go (AuthorizedForBinding, AuthorizedForDeviceStatus).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pylet.api import causes
from pylet.api.devices.allocation import device_id
from pylet.api.errors import Cause, Invalid
from pylet.api.object import Object, dig
from pylet.server.admission.interface import UPDATE, Plugin
from pylet.server.admission.interface import Attributes as Write
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authorize import Authorizer
from pylet.server.registry import User

_NODE_NAME = "authentication.kubernetes.io/node-name"
_ACCOUNT = "system:serviceaccount:"
_BOUND = ("allocation", "reservedFor")


def plugin(authorizer: Authorizer) -> Plugin:
    async def validate(write: Write) -> None:
        before, after = ((obj or {}).get("status") or {} for obj in (write.old, write.obj))
        found = [cause async for cause in _binding(authorizer, write, before, after)]
        if after.get("allocation") is not None:
            found += [cause async for cause in _devices(authorizer, write, before, after)]
        if found:
            raise Invalid(write.kind.group, write.kind.name, write.name, found)

    return Plugin("ResourceClaimStatus", {"resourceclaims/status": frozenset((UPDATE,))}, validate=validate)


async def _binding(authorizer: Authorizer, write: Write, before: Object, after: Object) -> AsyncIterator[Cause]:
    if any((before.get(name) or None) != (after.get(name) or None) for name in _BOUND):
        verb = write.request.verb
        asked = Attributes(write.user, verb, write.kind.group, write.kind.version, "resourceclaims", "binding")
        if why := await _refusal(authorizer, asked):
            needs = 'changing status.allocation or status.reservedFor requires resource="resourceclaims/binding"'
            yield causes.forbidden("status.allocation", f'{needs}, verb="{verb}" permission: {why}')


async def _devices(authorizer: Authorizer, write: Write, before: Object, after: Object) -> AsyncIterator[Cause]:
    was, now = ({device_id(device): device for device in status.get("devices") or ()} for status in (before, after))
    verbs = [f"arbitrary-node:{write.request.verb}"]
    if _is_on_node(write.user, after["allocation"]):
        verbs.insert(0, f"associated-node:{write.request.verb}")
    for driver in sorted({id_[0] for id_ in was | now if was.get(id_) != now.get(id_)}):
        asked = [
            Attributes(
                write.user,
                verb,
                write.kind.group,
                write.kind.version,
                "resourceclaims",
                "driver",
                namespace=write.key.namespace,
                name=driver,
            )
            for verb in verbs
        ]
        refusals = [await _refusal(authorizer, each) for each in asked]
        if all(refusals):
            needs = f'changing status.devices requires resource="resourceclaims/driver", verb="[{" ".join(verbs)}]"'
            yield causes.forbidden("status.devices", f"{needs} permission: {refusals[0]}")


def _is_on_node(user: User, allocation: Object) -> bool:
    """Whether it is a service account of a pod on the one node that the devices are on."""
    nodes = list(user.extra.get(_NODE_NAME, ()))
    match dig(allocation, "nodeSelector", "nodeSelectorTerms", default=()):
        case [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}], **more}]:
            return user.name.startswith(_ACCOUNT) and nodes == [node] and not more.get("matchExpressions")
    return False


async def _refusal(authorizer: Authorizer, asked: Attributes) -> str:
    decision = await authorizer.ask(asked)
    return "" if decision.allowed else asked.forbidden(decision.reason).message
