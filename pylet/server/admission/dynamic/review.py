"""The AdmissionReview that is sent to a webhook, and what it answers.

Source: apiserver pkg/admission/plugin/webhook/request/admissionreview.go, webhook/errors/statuserror.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pylet.api.errors import ApiError, BadRequest, RemoteError
from pylet.api.object import Object
from pylet.api.wire.decode import parse

_GROUP = "admission.k8s.io"
_VERSIONS = ("v1", "v1beta1")
_JSON_PATCH = "JSONPatch"


class Unusable(Exception):
    """The webhook cannot be asked, or what it answers is no answer; the message is upstream's."""


@dataclass(frozen=True, slots=True)
class Response:
    """`patch` is a decoded JSON Patch; `status` is why it is not `allowed`, if the webhook said so."""

    allowed: bool
    status: Object | None = None
    patch: list[Any] = field(default_factory=list)
    patch_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def review(versions: Sequence[str], uid: str, request: Object, obj: Object | None, old: Object | None) -> Object:
    """Raises: Unusable."""
    version = next((version for version in versions if version in _VERSIONS), None)
    if version is None:
        raise Unusable(
            "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)"
        )
    told = {"uid": uid, **request, "object": obj, "oldObject": old}
    return {"kind": "AdmissionReview", "apiVersion": f"{_GROUP}/{version}", "request": told}


def response_of(answer: Any, sent: Object, *, mutates: bool) -> Response:
    """Raises: Unusable."""
    found = answer.get("response") if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise Unusable("received invalid webhook response: webhook response was absent")
    if problem := _problem(answer, found, sent, mutates=mutates):
        raise Unusable(f"received invalid webhook response: {problem}")
    status = found.get("status")
    patch_type = found.get("patchType") or ""
    if sent["apiVersion"].endswith("/v1beta1") and found.get("patch"):
        patch_type = _JSON_PATCH
    return Response(
        found.get("allowed") is True,
        status if isinstance(status, dict) else None,
        _patch(found.get("patch")) if mutates and found.get("allowed") is True else [],
        patch_type,
        {str(key): str(value) for key, value in (found.get("auditAnnotations") or {}).items()},
        [str(warning) for warning in found.get("warnings") or ()],
    )


def _problem(answer: Object, found: Object, sent: Object, *, mutates: bool) -> str:
    if sent["apiVersion"].endswith("/v1beta1"):
        return ""  # was never verified
    uid, wanted = found.get("uid") or "", sent["request"]["uid"]
    if uid != wanted:
        return f'expected response.uid="{wanted}", got "{uid}"'
    named = f"{answer.get('apiVersion') or '/'}, Kind={answer.get('kind') or ''}"
    expected = f"{_GROUP}/v1, Kind=AdmissionReview"
    if named != expected:
        return f"expected webhook response of {expected}, got {named}"
    patch, type_ = found.get("patch"), found.get("patchType")
    if not mutates:
        if patch:
            return "validating webhook may not return response.patch"
        return "" if type_ is None else "validating webhook may not return response.patchType"
    if patch and type_ is None:
        return "webhook returned response.patch but not response.patchType"
    if not patch and type_ is not None:
        return "webhook returned response.patchType but not response.patch"
    return 'webhook returned invalid response.patchType of ""' if type_ == "" else ""


def _patch(text: Any) -> list[Any]:
    if not text:
        return []
    try:
        patch = parse(base64.b64decode(text, validate=True)).value
    except BadRequest as bad:
        why = bad.message.rpartition("json parse error: ")[2]
        raise Unusable(f"received undecodable patch in webhook response: {why}") from bad
    except (binascii.Error, ValueError, TypeError) as bad:
        raise Unusable(f"received undecodable patch in webhook response: {bad}") from bad
    if patch is None:
        return []
    if not isinstance(patch, list):
        raise Unusable("received undecodable patch in webhook response: it is not a list of operations")
    return patch


def check_patch_type(response: Response) -> None:
    """Raises: Unusable."""
    if response.patch and response.patch_type != _JSON_PATCH:
        raise Unusable(f'unsupported patch type "{response.patch_type}"')


def denial(webhook: str, status: Object | None) -> ApiError:
    """What the client is told when a webhook says no."""
    told: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", **(status or {})}
    code = told.get("code")
    told["code"] = code if isinstance(code, int) and code >= 400 else 400
    says = f'admission webhook "{webhook}" denied the request'
    why = told.get("message") or told.get("reason")
    told["message"] = f"{says}: {why}" if why else f"{says} without explanation"
    return RemoteError(told)
