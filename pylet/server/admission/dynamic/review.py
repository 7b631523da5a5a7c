"""The AdmissionReview that is sent to a webhook, and what it answers.

Source: apiserver pkg/admission/plugin/webhook/request/admissionreview.go, webhook/errors/statuserror.go.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pylet.api import schema
from pylet.api.errors import ApiError, BadRequest, RemoteError
from pylet.api.object import Object
from pylet.api.schema.node import Bytes, List, Map, Ref, Scalar, Struct
from pylet.api.wire.decode import parse

_GROUP = "admission.k8s.io"
_VERSIONS = ("v1", "v1beta1")
_READABLE = {("v1", "Status"), *((f"{_GROUP}/{version}", "AdmissionReview") for version in _VERSIONS)}
_SCHEME = "k8s.io/apiserver/pkg/util/webhook/client.go:71"
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


def response_of(answer: Object, sent: Object, *, mutates: bool) -> Response:
    """Raises: Unusable."""
    if unreadable := _unreadable(answer, sent):
        raise Unusable(f"failed to call webhook: {unreadable}")
    try:
        _schema().decode(answer)
    except ValueError as bad:
        raise Unusable(f"failed to call webhook: {bad}") from bad
    found = answer.get("response")
    if found is None:
        raise Unusable("received invalid webhook response: webhook response was absent")
    if problem := _problem(answer, found, sent, mutates=mutates):
        raise Unusable(f"received invalid webhook response: {problem}")
    patch_type = found.get("patchType", "")
    if sent["apiVersion"].endswith("/v1beta1") and found.get("patch"):
        patch_type = _JSON_PATCH
    is_allowed = found.get("allowed", False)
    return Response(
        is_allowed,
        found.get("status"),
        _patch(found.get("patch", "")) if mutates and is_allowed else [],
        patch_type,
        found.get("auditAnnotations", {}),
        found.get("warnings", ()),
    )


def _unreadable(answer: Object, sent: Object) -> str:
    """Why an answer that says what it is cannot be read as what was sent, or ""."""
    version, kind = answer.get("apiVersion") or sent["apiVersion"], answer.get("kind") or sent["kind"]
    if (version, kind) == (sent["apiVersion"], sent["kind"]):
        return ""
    if (version, kind) in _READABLE:
        told, wanted = version.rpartition("/")[2], sent["apiVersion"].rpartition("/")[2]
        return f"converting ({told}.{kind}) to ({wanted}.{sent['kind']}): unknown conversion"
    return f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"'


@cache
def _schema() -> Struct:
    """An AdmissionReview as it is answered."""
    response, review = Struct("AdmissionResponse"), Struct("AdmissionReview")
    response.fields = {
        "uid": Scalar(str, "types.UID", keeps_zero=True),
        "allowed": bool,
        "status": Ref("io.k8s.apimachinery.pkg.apis.meta.v1.Status", schema.of),
        "patch": Bytes("[]uint8", keeps_zero=False),
        "patchType": Scalar(str, "v1.PatchType", keeps_zero=True),
        "auditAnnotations": Map(str, keeps_zero=False),
        "warnings": List(str, keeps_zero=False),
    }
    review.fields = {
        "apiVersion": str,
        "kind": str,
        "response": Ref("io.k8s.api.admission.v1.AdmissionResponse", lambda _: response),
    }
    return review


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


def _patch(text: str) -> list[Any]:
    """Raises: Unusable."""
    if not text:
        return []
    undecodable = "received undecodable patch in webhook response: "
    try:
        patch = parse(base64.b64decode(text)).value
    except BadRequest as bad:
        raise Unusable(undecodable + bad.message.rpartition("json parse error: ")[2]) from bad
    wrong = schema.Mismatch(patch, "jsonpatch.Patch")
    if patch is not None and not isinstance(patch, list):
        raise Unusable(f"{undecodable}{wrong}")
    for operation in patch or ():
        if not isinstance(operation, dict):
            raise Unusable(f"{undecodable}{schema.Mismatch(operation, 'jsonpatch.Operation')}")
    return patch or []


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
