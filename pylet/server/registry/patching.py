"""A patch request as a change: the current object, patched, decoded as strictly as a body.

Source: apiserver pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from pylet.api import causes, schema
from pylet.api.errors import BadRequest, Invalid, RemoteError, RequestEntityTooLarge, UnsupportedMediaType
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.patch import BadPatch, Failed, TooLarge, Unprocessable, json_patch, merge, shown, strategic
from pylet.api.wire import decode, strict
from pylet.client.interface import PatchType
from pylet.server.registry import named

_REJECTED = "the server rejected our request due to an error in our request"
_GO_KINDS = {"array": "slice", "object": "map", "string": "string", "bool": "bool"}
ACCEPTED = (PatchType.JSON, PatchType.MERGE, PatchType.STRATEGIC, PatchType.APPLY)


def patch_types(kind: Kind) -> tuple[PatchType, ...]:
    """What patches objects of this kind take."""
    return ACCEPTED if kind.schema is None else tuple(one for one in ACCEPTED if one is not PatchType.STRATEGIC)


def check_type(kind: Kind, type_: PatchType) -> None:
    """Raises: UnsupportedMediaType."""
    if type_ not in patch_types(kind):
        accepted = ", ".join(patch_types(kind))
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        )


def check_twice(duplicates: Sequence[str], validation: str) -> list[str]:
    """What keys that a configuration writes twice are warned of. Raises: BadRequest, when validating strictly."""
    if not duplicates or validation == decode.IGNORE:
        return []
    why = decode.in_yaml(duplicates)
    if validation == decode.STRICT:
        raise BadRequest(f"error strict decoding YAML: {why}")
    return list(duplicates)


def patched(
    kind: Kind, current: Object, patch: Any, type_: PatchType, validation: str, duplicates: Sequence[str] = ()
) -> tuple[Object, list[str]]:
    """The new object and texts for `Warning` headers; `current` is private, `type_` checked. Raises: ApiError.

    `duplicates` tell of fields that the patch's text names twice.
    """
    obj = _changed(kind, current, patch, type_)
    problems = list(duplicates)
    if type_ is PatchType.JSON:
        decode.check_depth(obj)
        problems = [f"json patch {problem}" for problem in _by_operation(problems, json_patch.unknown_fields(patch))]
    # Decoding drops from the object what refusals quote.
    before = b"" if type_ is PatchType.STRATEGIC else orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)

    def invalid(why: str) -> Invalid:
        text = shown(patch) if type_ is PatchType.STRATEGIC else before.decode()
        return Invalid("", "", "", (causes.invalid("patch", text, why),))

    try:
        if kind.schema is not None:
            named.check_custom(kind, obj, current["metadata"]["name"], before.decode())
            unknown = schema.of_kind(kind).decode(obj)
        elif type_ is PatchType.STRATEGIC:
            unknown = sorted(_restored(kind, obj, current))
        else:
            obj, unknown = named.decoded(kind, obj, current if type_ is PatchType.MERGE else {}, before.decode())
            unknown.sort()
    except schema.Mismatch as misfit:
        told = _unstructured(misfit) if type_ is PatchType.STRATEGIC else str(_first(kind, before) or misfit)
        raise invalid(told) from misfit
    except ValueError as bad_value:
        is_bytes = type_ is PatchType.STRATEGIC and str(bad_value).startswith("illegal base64")
        raise invalid(f"error decoding from json: {bad_value}" if is_bytes else str(bad_value)) from bad_value
    problems += strict.unknown(unknown)
    obj.setdefault("metadata", {})
    if not problems or validation == decode.IGNORE:
        return obj, []
    if validation == decode.STRICT:
        raise invalid(f"strict decoding error: {', '.join(problems)}")
    return obj, problems


def _changed(kind: Kind, current: Object, patch: Any, type_: PatchType) -> Object:
    """Raises: ApiError."""
    try:
        match type_:
            case PatchType.JSON:
                obj = json_patch.apply(current, patch)
            case PatchType.MERGE:
                obj = merge.apply(current, patch)
            case _:  # STRATEGIC: the only other that `check_type` lets pass
                obj = strategic.apply(current, patch, schema.of_kind(kind))
    except BadPatch as bad:
        raise BadRequest(str(bad)) from bad
    except Unprocessable as unfit:
        raise _unprocessable() from unfit
    except TooLarge as large:
        raise RequestEntityTooLarge(f"Request entity too large: {large}") from large
    except Failed as failed:
        raise RemoteError({"code": 500, "message": str(failed)}) from failed
    if not isinstance(obj, dict):
        raise _unprocessable()
    return obj


def _unprocessable() -> RemoteError:
    return RemoteError({"code": 422, "reason": "Invalid", "message": _REJECTED, "details": {}})


def _by_operation(twice: Sequence[str], unknown: Iterable[str]) -> list[str]:
    """What is odd about a JSON patch, whose paths begin with the number of the operation in brackets."""
    problems = [*twice, *strict.unknown([*unknown])]
    return sorted(problems, key=lambda problem: int(problem.partition("[")[2].partition("]")[0]))


def _first(kind: Kind, text: bytes) -> schema.Mismatch | None:
    """The wrong type that is told of an object: the first in its JSON, whose fields upstream has sorted."""
    try:
        schema.of_kind(kind).decode(orjson.loads(text))
    except schema.Mismatch as misfit:
        return misfit
    except ValueError:
        pass
    return None


def _restored(kind: Kind, obj: Object, current: Object) -> list[str]:
    """Decode in place what is of the kind, whatever it calls itself. Raises: ValueError."""
    for field in ("kind", "apiVersion"):
        if not isinstance(obj.get(field), str | None):
            raise schema.Mismatch(obj[field], "string", "string")
    obj["apiVersion"], obj["kind"] = kind.api_version, kind.name
    return named.decode_changed(kind, obj, current)


def applied(kind: Kind, merged: Object) -> Object:
    """What server-side apply made, decoded; it was checked before, so nothing in it is unknown. Raises: ApiError."""
    obj: Object = orjson.loads(orjson.dumps(merged))
    obj["kind"], obj["apiVersion"] = kind.name, kind.api_version
    decode.canonicalize(kind, obj)
    return obj


def _unstructured(misfit: schema.Mismatch) -> str:
    """A wrong type in the words of upstream's conversion from maps, which strategic patches go through."""
    go_kind, given = misfit.go_kind, misfit.value.partition(" ")[0]
    if misfit.is_own:
        return f"json: cannot unmarshal {misfit.value} into Go value of type {misfit.go_type}"
    number = "float64" if isinstance(misfit.args[0], float) else "int64"
    match go_kind:
        case "slice" | "map":
            return f"cannot restore {go_kind} from {_GO_KINDS.get(given, number)}"
        case "struct":
            return f"cannot restore struct from: {_GO_KINDS.get(given, number)}"
    converts = given == "number" and go_kind != "bool" and (go_kind == "string") == (number == "int64")
    return f"cannot convert {number} to {misfit.go_type}" if converts else f"unrecognized type: {go_kind}"
