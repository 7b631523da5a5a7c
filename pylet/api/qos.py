"""A pod's quality-of-service class. Source: pkg/apis/core/helper/qos/qos.go, ComputePodQOS."""

from __future__ import annotations

from pylet.api.containers import planned
from pylet.api.object import Object
from pylet.api.quantity import parse

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
_COUNTED = ("cpu", "memory")


def qos_class(pod: Object) -> str:
    spec = pod["spec"]
    holders = [spec] if spec.get("resources") else planned(spec)
    some, all_equal = False, True
    for holder in holders:
        resources = holder.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in _COUNTED:
            request, limit = _amount(requests.get(name)), _amount(limits.get(name))
            some = some or bool(request or limit)
            all_equal = all_equal and bool(limit) and (request or limit) == limit
    if not some:
        return BEST_EFFORT
    return GUARANTEED if all_equal else BURSTABLE


def _amount(text: str | None) -> int:
    return parse(text).nanos if text else 0
