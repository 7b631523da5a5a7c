"""Asking webhooks: the mutating ones one after the other, the validating ones all at once.

Source: apiserver pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from pylet.api.errors import ApiError, BadRequest
from pylet.api.names import qualified_name
from pylet.api.object import Object
from pylet.api.patch import BadPatch, Failed, TooLarge, Unprocessable, json_patch
from pylet.server.admission.dynamic import counted, review
from pylet.server.admission.dynamic.asked import Asked, Match, request_of
from pylet.server.admission.dynamic.cluster import Cluster, internal_error
from pylet.server.admission.dynamic.hooks import Hook
from pylet.server.admission.dynamic.reinvoking import Invoked
from pylet.server.admission.interface import Attributes, OutOfTime
from pylet.server.webhooks import Uncallable, WebhookFailed

log = logging.getLogger(__name__)

MUTATING, VALIDATING = "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"
_NO_PATCH = (BadPatch, Unprocessable, TooLarge, Failed)


async def mutate(write: Attributes, hooks: Sequence[Hook], cluster: Cluster) -> None:
    """Raises: ApiError."""
    asked = Asked(write, cluster)
    if asked.is_config:
        return
    invoked = write.reinvocation.notes.setdefault(MUTATING, Invoked())
    invoked.begin(write)
    for position, hook in enumerate(hooks):
        match = await hook.match(asked, cluster, "admit")
        if match is None or invoked.skips(write, hook.uid):
            continue
        if await _mutated(hook, asked, match, cluster, position):
            invoked.renew()
            write.reinvocation.is_wanted = True
        if hook.is_reinvoked:
            invoked.candidates.add(hook.uid)
    invoked.end(write)


async def _mutated(hook: Hook, asked: Asked, match: Match, cluster: Cluster, position: int) -> bool:
    """Whether the webhook changed the object; one that fails and may, did not."""
    place = f"round_{int(asked.write.reinvocation.is_again)}_index_{position}"
    changed = False
    try:
        obj, old = await asked.objects(match)
        response = await _answer(hook, asked, match, cluster, (obj, old), mutates=True)
        review.check_patch_type(response)
        if response.patch:
            changed = await _patched(hook, asked, match, obj, response.patch)
            told = [dict(sorted(operation.items())) for operation in response.patch]  # as Go prints a map
            _note(asked, f"patch.webhook.admission.k8s.io/{place}", _about(hook, patch=told))
    except (review.Unusable, WebhookFailed) as failed:
        _failed(hook, failed, asked, f"failed-open.mutation.webhook.admission.k8s.io/{place}")
    finally:
        _note(asked, f"mutation.webhook.admission.k8s.io/{place}", _about(hook, mutated=changed))
    return changed


async def _patched(hook: Hook, asked: Asked, match: Match, obj: Object | None, patch: list[Any]) -> bool:
    if obj is None:
        says = f'admission webhook "{hook.name}" attempted to modify the object'
        raise internal_error(f"{says}, which is not supported for this operation")
    try:
        patched = json_patch.apply(obj, patch)
    except _NO_PATCH as bad:
        raise internal_error(str(bad)) from bad
    if patched == obj:
        return False
    await asked.replace(match, patched)
    return (await asked.objects(match))[0] != obj


async def validate(write: Attributes, hooks: Sequence[Hook], cluster: Cluster) -> None:
    """Raises: ApiError."""
    asked = Asked(write, cluster)
    if asked.is_config:
        return
    found = [(hook, match) for hook in hooks if (match := await hook.match(asked, cluster, "validating")) is not None]
    answers = (_judged(hook, asked, match, cluster, position) for position, (hook, match) in enumerate(found))
    for refused in await asyncio.gather(*answers):
        if refused is not None:
            raise refused


async def _judged(hook: Hook, asked: Asked, match: Match, cluster: Cluster, position: int) -> ApiError | None:
    try:
        objects = await asked.objects(match)
        await _answer(hook, asked, match, cluster, objects, mutates=False)
    except ApiError as refused:
        return refused
    except (review.Unusable, WebhookFailed) as failed:
        key = f"failed-open.validating.webhook.admission.k8s.io/round_0_index_{position}"
        try:
            _failed(hook, failed, asked, key)
        except ApiError as refused:
            return refused
    return None


async def _answer(
    hook: Hook,
    asked: Asked,
    match: Match,
    cluster: Cluster,
    objects: tuple[Object | None, Object | None],
    *,
    mutates: bool,
) -> review.Response:
    """What an allowing webhook says. Raises: ApiError, Unusable, WebhookFailed."""
    write = asked.write
    if write.dry_run and hook.has_side_effects:
        raise BadRequest(f'admission webhook "{hook.name}" does not support dry run')
    left = write.request.deadline - time.monotonic()
    if left <= 0:
        raise OutOfTime
    sent = review.review(hook.versions, str(uuid.uuid4()), request_of(asked, match), *objects)
    type_ = "admit" if mutates else "validating"
    with counted.asking(hook.name, write.operation, type_, ignores_failure=hook.ignores_failure):
        try:
            shown = cluster.credentials.get(MUTATING if mutates else VALIDATING)
            seconds = min(hook.seconds, left)
            answer = await cluster.client.call(hook.client, sent, timeout_seconds=seconds, credentials=shown)
        except Uncallable:
            raise
        except WebhookFailed as failed:
            if time.monotonic() >= write.request.deadline:
                raise OutOfTime from failed
            raise WebhookFailed(f"failed to call webhook: {failed}") from failed
        response = review.response_of(answer, sent, mutates=mutates)
        for key, value in response.annotations.items():
            if not qualified_name(named := f"{hook.name}/{key}"):
                _note(asked, named, value)
        write.request.warnings.extend(response.warnings)
        if not response.allowed:
            raise review.denial(hook.name, response.status)
    return response


def _failed(hook: Hook, failed: Exception, asked: Asked, annotation: str) -> None:
    """Raises: InternalError, unless the webhook may fail."""
    says = f'failed calling webhook "{hook.name}": {failed}'
    if not hook.ignores_failure:
        raise internal_error(says) from failed
    log.warning("%s; the request goes on without it", says)
    _note(asked, annotation, hook.name)


def _note(asked: Asked, key: str, value: str) -> None:
    asked.write.request.annotations.setdefault(key, value)


def _about(hook: Hook, **told: Any) -> str:
    """An audit annotation about what a webhook did."""
    if "patch" in told:
        told["patchType"] = "JSONPatch"
    return orjson.dumps({"configuration": hook.configuration, "webhook": hook.name, **told}).decode()
