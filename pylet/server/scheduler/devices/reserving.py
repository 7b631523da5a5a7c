"""Writes to claims what was chosen for a pod, allocation and reservation, before it goes to its node; takes that back.

Source: upstream `plugins/dynamicresources/dynamicresources.go` (bindClaim, Unreserve, PostFilter).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pylet.api.errors import ApiError, Conflict
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.object import Object, is_terminating, key_of, uid_of
from pylet.client.interface import Client, PatchType
from pylet.server.scheduler.devices.claims import Failed, deallocated, is_reserved
from pylet.server.scheduler.devices.ledger import is_allocated
from pylet.server.scheduler.model import Pending

log = logging.getLogger(__name__)

_FINALIZER = "resource.kubernetes.io/delete-protection"
_TRIES = 5


async def reserve(client: Client, pod: Pending, claim: Object, allocation: Object | None, now: str) -> None:
    """Give the claim to the pod; an `allocation` was made for it. Raises: Failed."""
    what = (
        f"{'add allocation and reservation' if allocation is not None else 'add reservation'} to claim {key_of(claim)}"
    )
    for tries_left in reversed(range(_TRIES)):
        try:
            if not is_reserved(claim, pod.uid):
                await _reserve(client, pod, claim, allocation, now)
            return
        except Conflict as lost:
            if not tries_left:
                raise Failed(f"{what}: {lost.message}") from lost
        except ApiError as failed:
            raise Failed(f"{what}: {failed.message}") from failed
        claim = await _again(client, claim)


async def _reserve(client: Client, pod: Pending, claim: Object, allocation: Object | None, now: str) -> None:
    key, meta = key_of(claim), claim["metadata"]
    if is_terminating(claim):
        raise Failed(f"claim {key} got deleted in the meantime")
    if is_allocated(claim) != (allocation is None):
        raise Failed(
            f"claim {key} got {'allocated' if allocation is not None else 'deallocated'} elsewhere in the meantime"
        )
    if allocation is not None and _FINALIZER not in (meta.get("finalizers") or ()):
        finalizers = [*(meta.get("finalizers") or ()), _FINALIZER]
        claim = await client.update(CLAIM, {**claim, "metadata": {**meta, "finalizers": finalizers}})
    status = claim.get("status") or {}
    holder = {"resource": "pods", "name": pod.key.name, "uid": pod.uid}
    status = {**status, "reservedFor": [*(status.get("reservedFor") or ()), holder]}
    if allocation is not None:
        status["allocation"] = {**allocation, "allocationTimestamp": now}
    await client.update(CLAIM, {**claim, "status": status}, subresource="status")


async def _again(client: Client, claim: Object) -> Object:
    try:
        return await client.get(CLAIM, key_of(claim))
    except ApiError as failed:
        raise Failed(f"get updated claim {key_of(claim)} after conflict: {failed.message}") from failed


async def unreserve(client: Client, pod: Pending, claims: Iterable[Object]) -> None:
    """The pod does not go where it was to go: what it holds is free for others."""
    for claim in claims:
        gone = {"$patch": "delete", "uid": pod.uid}
        patch = {"metadata": {"uid": uid_of(claim)}, "status": {"reservedFor": [gone]}}
        try:
            if is_reserved(await client.get(CLAIM, key_of(claim)), pod.uid):
                await client.patch(CLAIM, key_of(claim), patch, type_=PatchType.STRATEGIC, subresource="status")
        except ApiError as failed:
            log.warning("unreserve claim %s: %s", key_of(claim), failed.message)


async def deallocate(client: Client, claim: Object) -> None:
    try:
        await client.update(CLAIM, deallocated(claim), subresource="status")
    except ApiError as failed:
        log.warning("deallocate claim %s: %s", key_of(claim), failed.message)
