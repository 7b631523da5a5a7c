"""Shares of a device that several claims may use at a time (consumable capacity). Pure.

Source: upstream `dynamic-resource-allocation/structured/internal/incubating/consumable_capacity.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pylet.api.object import Object, dig
from pylet.api.quantity import NANOS, Format, Quantity, parse

Amounts = Mapping[str, int]
"""Nanos by capacity."""


def consumption(request: Object, device: Object) -> dict[str, Quantity] | None:
    """What a request takes of each capacity of a device; None when it asks for what the device cannot give."""
    asked = dig(request, "capacity", "requests", default={})
    offered = device.get("capacity") or {}
    if not asked.keys() <= offered.keys():
        return None
    found = {name: _taken(asked.get(name), offer) for name, offer in offered.items()}
    if any(_breaks(found[name], offer.get("requestPolicy") or {}) for name, offer in offered.items()):
        return None
    return found


def fits(taken: Mapping[str, Quantity], device: Object, *others: Amounts) -> bool:
    """Whether the device has that much beside what others have of it."""
    return all(
        amount.nanos + sum(other.get(name, 0) for other in others) <= parse(device["capacity"][name]["value"]).nanos
        for name, amount in taken.items()
    )


def _taken(asked: str | None, offer: Object) -> Quantity:
    policy = offer.get("requestPolicy") or {}
    if asked is None:
        return parse(policy.get("default") or offer["value"])
    amount = parse(asked)
    allowed = policy.get("validRange") or {}
    if allowed.get("min") is not None:
        return _rounded(amount, allowed)
    larger = (value for text in policy.get("validValues") or () if (value := parse(text)).nanos >= amount.nanos)
    return next(larger, amount)


def _rounded(amount: Quantity, allowed: Object) -> Quantity:
    least = parse(allowed["min"])
    if amount.nanos < least.nanos:
        return least
    if allowed.get("step") is None:
        return amount
    low, step = least.nanos // NANOS, parse(allowed["step"]).nanos // NANOS
    steps = -(-(-(-amount.nanos // NANOS) - low) // step)
    return Quantity((low + steps * step) * NANOS, Format.BINARY_SI)


def _breaks(amount: Quantity, policy: Object) -> bool:
    if policy.get("default") is not None and amount.nanos == parse(policy["default"]).nanos:
        return False
    if (allowed := policy.get("validRange")) is not None:
        if allowed.get("max") is not None and amount.nanos > parse(allowed["max"]).nanos:
            return True
        if allowed.get("step") is None:
            return False
        least = parse(allowed["min"]).nanos if allowed.get("min") is not None else 0
        return bool((amount.nanos - least) % parse(allowed["step"]).nanos)
    values = {parse(text).nanos for text in policy.get("validValues") or ()}
    return bool(values) and amount.nanos not in values
