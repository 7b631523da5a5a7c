"""Converts custom objects between versions by the webhook that their definition names."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from time import perf_counter

from pylet.api.crd import conversion
from pylet.api.errors import InternalError
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.server.crd import counted
from pylet.server.webhooks import WebhookClient, WebhookFailed

_TIMEOUT_SECONDS = 30
_UNCALLED = "conversion_webhook_call_failure"
_BROKEN = "conversion_webhook_invalid_converted_object_failure"


class Converter:
    def __init__(self, client: WebhookClient) -> None:
        self._client = client

    async def __call__(self, kind: Kind, version: str, objects: Sequence[Object]) -> list[Object]:
        """The objects in that version, in one call for all that are of another. Raises: InternalError."""
        wanted = f"{kind.group}/{version}"
        strange = [obj for obj in objects if obj["apiVersion"] != wanted]
        if not strange or kind.storage is None or kind.storage.conversion is None:
            return list(objects)
        webhook, began, failure = kind.storage.conversion, perf_counter(), _BROKEN
        try:
            sent = conversion.review(webhook["conversionReviewVersions"], strange, wanted, str(uuid.uuid4()))
            answer = await self._client.call(webhook["clientConfig"], sent, timeout_seconds=_TIMEOUT_SECONDS)
            fresh = iter(conversion.converted(answer, sent, strange))
            failure = ""
        except WebhookFailed as failed:
            failure = _UNCALLED
            raise _error(strange[0], f"failed: {failed}") from failed
        except conversion.Unconverted as failed:
            failure = _sort(str(failed))
            raise _error(strange[0], str(failed)) from failed
        finally:
            took = perf_counter() - began
            counted.called(took, failure)
            old = strange[0]["apiVersion"].rpartition("/")[2]
            counted.converted(kind.resource, old, version, took, succeeded=not failure)
        return [next(fresh) if obj["apiVersion"] != wanted else obj for obj in objects]


def _sort(why: str) -> str:
    """Of failures. Source: apiextensions-apiserver pkg/apiserver/conversion/webhook_converter.go."""
    if why.startswith("failed: "):
        return "conversion_webhook_malformed_response_failure"
    return "conversion_webhook_partial_response_failure" if " objects, expected " in why else _BROKEN


def _error(obj: Object, why: str) -> InternalError:
    return InternalError(f"conversion webhook for {obj['apiVersion']}, Kind={obj['kind']} {why}")
