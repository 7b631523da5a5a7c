"""Writes to claims what was chosen for a pod, allocation and reservation, before it goes to its node; takes that back.

Source: upstream `plugins/dynamicresources/dynamicresources.go` (bindClaim, Unreserve, PostFilter).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from pylet.api.errors import ApiError, Conflict, NotFound
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.object import Object, dig, is_terminating, key_of, uid_of
from pylet.client.interface import Client, PatchType
from pylet.server.scheduler.devices.claims import Failed, deallocated, is_reserved
from pylet.server.scheduler.devices.extended import ANNOTATION
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


async def make(client: Client, pod: Pending, claim: Object) -> Object:
    """A claim for the pod's extended resources. Raises: Failed."""
    meta = {name: value for name, value in claim["metadata"].items() if name not in ("name", "uid")}
    meta["generateName"] = f"{pod.key.name}-extended-resources-"
    try:
        return await client.create(CLAIM, {**claim, "metadata": meta})
    except ApiError as failed:
        raise Failed(f"create claim for extended resources {pod.key}: {failed.message}") from failed


async def tell(client: Client, pod: Pending, claim: Object, mappings: Sequence[Object]) -> None:
    """Which of the pod's resources are what of its claim. Raises: Failed."""
    told = {"requestMappings": [*mappings], "resourceClaimName": claim["metadata"]["name"]}
    patch = {"metadata": {"uid": pod.uid}, "status": {"extendedResourceClaimStatus": told}}
    try:
        await client.patch(POD, pod.key, patch, type_=PatchType.MERGE, subresource="status")
    except ApiError as failed:
        raise Failed(f"update pod {pod.key} ExtendedResourceClaimStatus: {failed.message}") from failed


async def drop(client: Client, claim: Object) -> None:
    """It was made for a pod's extended resources, in vain."""
    try:
        found = await client.get(CLAIM, key_of(claim))
        meta = {**found["metadata"], "finalizers": []}
        await client.update(CLAIM, {**found, "metadata": meta})
        await client.delete(CLAIM, key_of(claim), uid=uid_of(claim))
    except NotFound:
        return
    except ApiError as failed:
        log.warning("delete claim %s: %s", key_of(claim), failed.message)


async def _again(client: Client, claim: Object) -> Object:
    try:
        return await client.get(CLAIM, key_of(claim))
    except ApiError as failed:
        raise Failed(f"get updated claim {key_of(claim)} after conflict: {failed.message}") from failed


async def unreserve(client: Client, pod: Pending, claims: Iterable[Object]) -> None:
    """The pod does not go where it was to go: what it holds is free for others."""
    for claim in claims:
        if ANNOTATION in dig(claim, "metadata", "annotations", default={}):
            await drop(client, claim)
            continue
        gone = {"$patch": "delete", "uid": pod.uid}
        patch = {"metadata": {"uid": uid_of(claim)}, "status": {"reservedFor": [gone]}}
        try:
            if is_reserved(await client.get(CLAIM, key_of(claim)), pod.uid):
                await client.patch(CLAIM, key_of(claim), patch, type_=PatchType.STRATEGIC, subresource="status")
        except ApiError as failed:
            log.warning("unreserve claim %s: %s", key_of(claim), failed.message)


async def deallocate(client: Client, claim: Object) -> None:
    if ANNOTATION in dig(claim, "metadata", "annotations", default={}):
        await drop(client, claim)
        return
    try:
        await client.update(CLAIM, deallocated(claim), subresource="status")
    except ApiError as failed:
        log.warning("deallocate claim %s: %s", key_of(claim), failed.message)
