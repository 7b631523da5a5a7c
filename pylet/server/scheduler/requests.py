"""What a pod takes of a node, in integers: cpu in thousandths, everything else in whole units. Pure.

Source: upstream `component-helpers/resource/helpers.go`, PodRequests;
`scheduler/util/pod_resources.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pylet.api import quantity
from pylet.api.object import Object, condition_of, dig

Resources = Mapping[str, int]

# Containers that ask for no cpu or memory still count for something when nodes are compared.
_ASSUMED = {"cpu": 100, "memory": 200 << 20}
_NOTHING: dict[str, int] = {}


def amounts(resources: Mapping[str, Any] | None) -> dict[str, int]:
    return {
        name: quantity.milli_of(value) if name == "cpu" else quantity.value_of(value)
        for name, value in (resources or _NOTHING).items()
    }


def pod_requests(pod: Object) -> Resources:
    """Containers and sidecars together, or the largest init step, whichever is more; then overhead."""
    return _shared(tuple(_total(pod, _NOTHING).items()))


def scored_requests(pod: Object) -> Resources:
    """The same, with each container that asks for no cpu or no memory counted as if it asked for a little."""
    return _shared(tuple(_total(pod, _ASSUMED).items()))


@lru_cache(maxsize=4096)
def _shared(items: tuple[tuple[str, int], ...]) -> Resources:
    """Pods of a kind ask for the same: one dict for all of them."""
    return dict(items)


def _total(pod: Object, missing: Resources) -> dict[str, int]:
    spec, status = pod["spec"], pod.get("status") or {}
    infeasible = (condition_of(pod, "PodResizePending") or {}).get("reason") == "Infeasible"
    running = {s["name"]: s for s in status.get("containerStatuses") or ()}
    total: dict[str, int] = {}
    for container in spec["containers"]:
        _add(total, _effective(container, running.get(container["name"]), missing, infeasible=infeasible))
    if inits := spec.get("initContainers"):
        _with_inits(total, inits, status, missing, infeasible=infeasible)
    of_pod = dig(spec, "resources", "requests")
    if of_pod:
        _with_pod_level(total, of_pod, status, infeasible=infeasible)
    if overhead := spec.get("overhead"):
        _add(total, amounts(overhead))
    return total


def _with_inits(
    total: dict[str, int], inits: list[Object], status: Object, missing: Resources, *, infeasible: bool
) -> None:
    """Sidecars stay beside the containers; an init step runs alone with the sidecars started before it."""
    statuses = {s["name"]: s for s in status.get("initContainerStatuses") or ()}
    sidecars: dict[str, int] = {}
    largest: dict[str, int] = {}
    for container in inits:
        is_sidecar = container.get("restartPolicy") == "Always"
        found = statuses.get(container["name"]) if is_sidecar else None
        own = _effective(container, found, missing, infeasible=infeasible)
        if is_sidecar:
            _add(total, own)
            _add(sidecars, own)
            _raise(largest, sidecars)
        else:
            step = dict(own)
            _add(step, sidecars)
            _raise(largest, step)
    _raise(total, largest)


def _with_pod_level(total: dict[str, int], of_pod: Object, status: Object, *, infeasible: bool) -> None:
    """Requests of the pod itself stand for those of its containers."""
    effective = asked = amounts(of_pod)
    if (reported := status.get("resources")) is not None:
        effective = {} if infeasible else dict(asked)
        _raise(effective, amounts(reported.get("requests")))
        _raise(effective, amounts(status.get("allocatedResources")))
    for name in asked:
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            total[name] = effective.get(name, 0)


def _effective(container: Object, status: Object | None, missing: Resources, *, infeasible: bool) -> dict[str, int]:
    """What a container asks for or, while it is being resized, still holds."""
    asked = amounts(dig(container, "resources", "requests"))
    reported = None if status is None else status.get("resources")
    if status is not None and reported is not None:
        if infeasible:
            asked = {}
        _raise(asked, amounts(reported.get("requests")))
        _raise(asked, amounts(status.get("allocatedResources")))
    for name, amount in missing.items():
        asked.setdefault(name, amount)
    return asked


def _add(total: dict[str, int], more: Resources) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise(total: dict[str, int], least: Resources) -> None:
    for name, amount in least.items():
        if amount > total.get(name, -1):
            total[name] = amount
