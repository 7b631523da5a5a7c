"""A patch request as a change: the current object, patched, decoded as strictly as a body.

Source: apiserver pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from pylet.api import schema
from pylet.api.errors import ApiError, BadRequest, RemoteError, UnsupportedMediaType
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.patch import BadPatch, Unprocessable, json_patch, merge, strategic
from pylet.api.wire import decode
from pylet.client.interface import PatchType

_REJECTED = "the server rejected our request due to an error in our request"
ACCEPTED = (PatchType.JSON, PatchType.MERGE, PatchType.STRATEGIC, PatchType.APPLY)


def check_type(type_: PatchType) -> None:
    """Raises: UnsupportedMediaType."""
    if type_ not in ACCEPTED:
        accepted = ", ".join(ACCEPTED)
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        )


def patched(kind: Kind, current: Object, patch: Any, type_: PatchType, validation: str) -> tuple[Object, list[str]]:
    """The new object and texts for `Warning` headers; `current` is private, `type_` checked. Raises: ApiError."""
    try:
        match type_:
            case PatchType.JSON:
                obj = json_patch.apply(current, patch)
            case PatchType.MERGE:
                obj = merge.apply(current, patch)
            case _:  # STRATEGIC: the only other that `check_type` lets pass
                obj = strategic.apply(current, patch, schema.of(kind.definition))
    except BadPatch as bad:
        raise BadRequest(str(bad)) from bad
    except Unprocessable as unfit:
        raise _unprocessable(str(unfit)) from unfit
    if not isinstance(obj, dict):
        raise _unprocessable("the patch does not leave an object")
    obj["kind"], obj["apiVersion"] = kind.name, kind.api_version
    warnings = decode.canonicalize(kind, obj, validation)
    obj.setdefault("metadata", {})
    return obj, warnings


def applied(kind: Kind, merged: Object) -> Object:
    """What server-side apply made, decoded; it was checked before, so nothing in it is unknown. Raises: ApiError."""
    obj: Object = orjson.loads(orjson.dumps(merged))
    obj["kind"], obj["apiVersion"] = kind.name, kind.api_version
    decode.canonicalize(kind, obj, decode.IGNORE)
    return obj


def _unprocessable(why: str) -> ApiError:
    details = {"causes": [{"reason": "UnexpectedServerResponse", "message": why}]}
    return RemoteError({"code": 422, "reason": "Invalid", "message": _REJECTED, "details": details})
