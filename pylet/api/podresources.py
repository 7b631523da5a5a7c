"""What a whole pod asks for and may use, counted as admission counts it.

Source: component-helpers resource/helpers.go, PodRequests and PodLimits; plugin/pkg/admission/limitranger has them
without status and overhead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from pylet.api.object import Object, conditions_of, dig
from pylet.api.quantity import Quantity, parse

Amounts: TypeAlias = dict[str, Quantity]

_OF_PODS = ("cpu", "memory")


def amounts(listed: Mapping[str, Any] | None) -> Amounts:
    return {name: parse(str(amount)) for name, amount in (listed or {}).items()}


def add(total: Amounts, more: Mapping[str, Quantity]) -> None:
    """In place; a sum is written as its first part that is not zero."""
    for name, amount in more.items():
        present = total.get(name)
        if present is None or not present.nanos:
            total[name] = amount
        else:
            total[name] = Quantity(present.nanos + amount.nanos, present.format)


def requests(pod: Object, *, is_live: bool = False) -> Amounts:
    """`is_live`: as a pod that is there is charged for, with its overhead and what a resize has not yet given back."""
    spec = pod["spec"]
    total = aggregated(pod, "requests", _live(pod, "requests") if is_live else {})
    for name, amount in amounts(dig(spec, "resources", "requests")).items():
        if _is_of_pods(name, hugepages=is_live):
            total[name] = amount
    if is_live:
        add(total, amounts(spec.get("overhead")))
    return total


def limits(pod: Object, *, is_live: bool = False) -> Amounts:
    """As `requests`; overhead comes on top of limits that are there."""
    spec = pod["spec"]
    total = aggregated(pod, "limits", _live(pod, "limits") if is_live else {})
    for name, amount in amounts(dig(spec, "resources", "limits")).items():
        if _is_of_pods(name, hugepages=is_live):
            total[name] = amount
    if is_live:
        more = amounts(spec.get("overhead"))
        add(total, {name: amount for name, amount in more.items() if name in total and total[name].nanos})
    return total


def has_own(pod: Object) -> bool:
    """Whether the pod itself, not only its containers, has requests or limits that count."""
    own = pod["spec"].get("resources") or {}
    listed: Iterable[str] = [*(own.get("requests") or ()), *(own.get("limits") or ())]
    return any(_is_of_pods(name, hugepages=True) for name in listed)


def default(pod: Object) -> None:
    """Fill in what the pod itself, saying something already, leaves to be told by its containers.

    Source: pkg/apis/core/v1/defaults.go, defaultHugePagePodLimits and defaultPodRequests.
    """
    own = pod["spec"].get("resources") or {}
    asked, most = dict(own.get("requests") or {}), dict(own.get("limits") or {})
    if not asked and not most:
        return
    for name, amount in aggregated(pod, "limits").items():
        if name.startswith("hugepages-") and name not in asked:
            most.setdefault(name, str(amount))
    if most:
        own["limits"] = most
        containers = {name: str(amount) for name, amount in aggregated(pod, "requests").items() if name in _OF_PODS}
        limited = {name: amount for name, amount in most.items() if _is_of_pods(name, hugepages=True)}
        own["requests"] = limited | containers | asked


def _is_of_pods(name: str, *, hugepages: bool) -> bool:
    return name in _OF_PODS or (hugepages and name.startswith("hugepages-"))


def aggregated(pod: Object, field: str, live: Mapping[str, Callable[[Amounts], Amounts]] | None = None) -> Amounts:
    """What the containers ask for or may use together, whatever the pod itself says; `live` corrects some of them."""
    spec = pod["spec"]

    def of(container: Object) -> Amounts:
        asked = amounts(dig(container, "resources", field))
        effective = live.get(container.get("name", "")) if live else None
        return asked if effective is None else effective(asked)

    total: Amounts = {}
    for container in spec.get("containers") or ():
        add(total, of(container))
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            own = of(container)
            add(total, own)
            add(sidecars, own)
            step = sidecars
        else:
            step = amounts(dig(container, "resources", field))
            add(step, sidecars)
        _raise(largest, step)
    _raise(total, largest)
    return total


def _raise(total: Amounts, more: Mapping[str, Quantity]) -> None:
    for name, amount in more.items():
        if name not in total or amount.nanos > total[name].nanos:
            total[name] = amount


def _live(pod: Object, field: str) -> Mapping[str, Callable[[Amounts], Amounts]]:
    """How what a container asks for becomes what it holds, for those whose status says what they have."""
    status = pod.get("status") or {}
    listed = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    if not listed:
        return {}
    pending = next((c for c in conditions_of(pod) if c.get("type") == "PodResizePending"), {})
    is_infeasible = pending.get("reason") == "Infeasible"

    def effective(found: Object) -> Callable[[Amounts], Amounts]:
        def of(asked: Amounts) -> Amounts:
            held = {} if is_infeasible else dict(asked)
            _raise(held, amounts(found["resources"].get(field)))
            if field == "requests":
                _raise(held, amounts(found.get("allocatedResources")))
            return held

        return of

    return {found["name"]: effective(found) for found in listed if found.get("resources") is not None}
