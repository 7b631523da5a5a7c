"""Pods as workloads see them: made from a template, active, ready, available. Pure.

Source: upstream `pkg/controller/controller_utils.go`, `pkg/api/v1/pod/util.go`.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import orjson

from pylet.api import timestamps
from pylet.api.kind import Kind
from pylet.api.names import SUFFIX_ALPHABET
from pylet.api.object import Object, condition_of, dig, is_terminating, is_true, uid_of

TERMINAL = ("Succeeded", "Failed")  # phases that a pod never leaves


def template_hash(template: Object, collisions: int) -> str:
    """A short stable name for a pod template; another one for each count of collisions."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS) + str(collisions or "").encode()
    number = int.from_bytes(hashlib.blake2b(data, digest_size=6).digest(), "big")
    digits = ""
    for _ in range(10):
        number, digit = divmod(number, len(SUFFIX_ALPHABET))
        digits += SUFFIX_ALPHABET[digit]
    return digits


def owner_reference(owner: Object, kind: Kind) -> Object:
    """The reference by which `owner` controls what it made."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "name": owner["metadata"]["name"],
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_of(template: Object, owner: Object, kind: Kind) -> Object:
    """A new pod of `owner`, named by the API server."""
    meta: Object = template.get("metadata") or {}
    made: Object = {
        "generateName": owner["metadata"]["name"] + "-",
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [owner_reference(owner, kind)],
    }
    made |= {name: dict(meta[name]) for name in ("labels", "annotations") if meta.get(name)}
    if meta.get("finalizers"):
        made["finalizers"] = list(meta["finalizers"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template["spec"]}


def is_finished(pod: Object) -> bool:
    return dig(pod, "status", "phase") in TERMINAL


def is_active(pod: Object) -> bool:
    return not is_finished(pod) and not is_terminating(pod)


def is_ready(pod: Object) -> bool:
    return is_true(pod, "Ready")


def available_in(pod: Object, min_ready_seconds: int, now: datetime) -> timedelta | None:
    """How long until a pod counts as available: zero when it does, None while it is not ready."""
    condition = condition_of(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    return available_since(condition.get("lastTransitionTime") or "", min_ready_seconds, now)


def available_since(ready: str, min_ready_seconds: int, now: datetime) -> timedelta:
    """As `available_in`, for a pod that is ready since then."""
    if not min_ready_seconds or not ready:
        return timedelta()
    return max(timedelta(), timestamps.parse(ready) + timedelta(seconds=min_ready_seconds) - now)


def scaled_value(value: Any, total: int, *, round_up: bool) -> int:
    """An int-or-percent field as a number of `total` (intstr.GetScaledValueFromIntOrPercent)."""
    if isinstance(value, str) and value.endswith("%"):
        product = int(value[:-1]) * total
        return -(-product // 100) if round_up else product // 100
    return int(value or 0)
