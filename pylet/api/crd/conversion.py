"""What a conversion webhook is asked, and what may come of its answer. Pure; `server.crd.conversion` asks.

Source: apiextensions-apiserver pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from pylet.api import names
from pylet.api.object import Object

_GROUP = "apiextensions.k8s.io"
_KNOWN = ("v1", "v1beta1")
_SAME = (("name", "name"), ("namespace", "namespace"), ("uid", "UID"))


class Unconverted(ValueError):
    """The webhook did not convert; the message says how it failed, after `conversion webhook for <kind> `."""


def review(versions: Sequence[str], objects: Sequence[Object], wanted: str, uid: str) -> Object:
    """The ConversionReview to send, in the first version that the webhook and the server know."""
    version = next((version for version in versions if version in _KNOWN), None)
    if version is None:
        raise Unconverted("failed: no supported conversion review versions")
    return {
        "kind": "ConversionReview",
        "apiVersion": f"{_GROUP}/{version}",
        "request": {"uid": uid, "desiredAPIVersion": wanted, "objects": list(objects)},
    }


def converted(answer: Any, sent: Object, objects: Sequence[Object]) -> list[Object]:
    """The converted objects of an answer to `sent`, with the metadata of the original ones. Raises: Unconverted."""
    response = _response(answer, sent)
    found = response.get("convertedObjects") or []
    if len(found) != len(objects):
        raise Unconverted(f"returned {len(found)} objects, expected {len(objects)}")
    wanted = sent["request"]["desiredAPIVersion"]
    return [_judged(at, pair, wanted) for at, pair in enumerate(zip(found, objects, strict=True))]


def _response(answer: Any, sent: Object) -> Object:
    if not isinstance(answer, dict):
        raise Unconverted("failed: the answer is not an object")
    response = answer.get("response")
    if sent["apiVersion"] == f"{_GROUP}/v1":
        given = answer.get("apiVersion") or "", answer.get("kind") or ""
        if given != (f"{_GROUP}/v1", "ConversionReview"):
            wanted = f"{_GROUP}/v1, Kind=ConversionReview"
            raise Unconverted(f"failed: expected webhook response of {wanted}, got {given[0]}, Kind={given[1]}")
        if isinstance(response, dict) and response.get("uid") != sent["request"]["uid"]:
            expected = f'expected response.uid="{sent["request"]["uid"]}"'
            raise Unconverted(f'failed: {expected}, got "{response.get("uid") or ""}"')
    if not isinstance(response, dict):
        raise Unconverted("failed: no response provided")
    result = response.get("result") or {}
    if result.get("status") != "Success":
        told = result.get("message") or f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        raise Unconverted(f"failed: {told}")
    return response


def _judged(position: int, pair: tuple[Any, Object], wanted: str) -> Object:
    obj, original = pair
    where = f"returned invalid converted object at index {position}"
    if not isinstance(obj, dict):
        raise Unconverted(f"{where}: not an object")
    if obj.get("apiVersion") != wanted:
        got = obj.get("apiVersion") or ""
        raise Unconverted(f"{where}: invalid groupVersion (expected {wanted}, received {got})")
    if obj.get("kind") != original["kind"]:
        got = obj.get("kind") or ""
        raise Unconverted(f"{where}: invalid kind (expected {original['kind']}, received {got})")
    meta, before = obj.get("metadata"), original["metadata"]
    bad_meta = f"returned invalid metadata in object at index {position}"
    if not isinstance(meta, dict):
        raise Unconverted(f"{bad_meta}: missing metadata in converted object")
    for field, name in _SAME:
        if (meta.get(field) or "") != (before.get(field) or ""):
            was, now = before.get(field) or "", meta.get(field) or ""
            raise Unconverted(f"{where}: must have the same {name}: {was} != {now}")
    kept = orjson.loads(orjson.dumps(before))
    for field in ("labels", "annotations"):
        kept.pop(field, None)
        if given := meta.get(field):
            _check_texts(field, given, f"{bad_meta}: ")
            kept[field] = given
    return {**obj, "metadata": kept}


def _check_texts(field: str, given: Any, where: str) -> None:
    if not isinstance(given, dict):
        raise Unconverted(f"{where}invalid metadata.{field} of type {type(given).__name__} in converted object")
    for key, value in given.items():
        if not isinstance(value, str):
            says = f"metadata.{field}[{key}] must be a string, but is {type(value).__name__} in converted object"
            raise Unconverted(where + says)
        problems = [*names.qualified_name(key), *(names.label_value(value) if field == "labels" else ())]
        if problems:
            raise Unconverted(f'{where}metadata.{field}: Invalid value: "{key}": {problems[0]}')
