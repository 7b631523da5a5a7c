"""A namespace's LimitRanges: containers get the requests and limits they don't name, and nothing leaves its bounds.

Source: plugin/pkg/admission/limitranger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pylet.api import podresources
from pylet.api.errors import aggregated
from pylet.api.object import Key, Object, annotations_of, dig, is_terminating
from pylet.api.podresources import Amounts
from pylet.api.quantity import Quantity
from pylet.client.view import Entry
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin

_ANNOTATION = "kubernetes.io/limit-ranger"
_DEFAULTS = (("default", "limits", "limit"), ("defaultRequest", "requests", "request"))


async def admit(write: Attributes) -> None:
    if write.kind.name == "Pod" and (ranges := _ranges(write)):
        assert write.obj is not None
        for limits in ranges:
            _default(write.obj, [limit for limit in limits if limit.get("type") == "Container"])


async def validate(write: Attributes) -> None:
    ranges = _ranges(write)
    obj = write.obj
    if not ranges or obj is None:
        return
    problems_of = _pod_problems if write.kind.name == "Pod" else _claim_problems
    for limits in ranges:
        found = [problem for limit in limits for problem in problems_of(limit, obj)]
        if found:
            raise write.forbidden(aggregated(found))


def _ranges(write: Attributes) -> list[list[Object]]:
    """The limits of each LimitRange there is; nothing holds back what is being deleted."""
    entries: Mapping[Key, Entry] = write.table("LimitRange").in_namespace(write.key.namespace)
    if not entries or (write.old is not None and is_terminating(write.old)):
        return []
    return [entry.object["spec"].get("limits") or [] for _, entry in sorted(entries.items())]


def _default(pod: Object, limits: Iterable[Object]) -> None:
    wanted: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
    for limit in limits:
        for field, target, _ in _DEFAULTS:
            wanted[target] |= limit.get(field) or {}
    said: list[str] = []
    for holder, word in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(holder) or ():
            resources = container.get("resources") or {}
            for _, target, what in reversed(_DEFAULTS):
                present = resources.get(target) or {}
                added = sorted(wanted[target].keys() - present.keys())
                if added:
                    resources[target] = {**present, **{name: wanted[target][name] for name in added}}
                    said.append(f"{', '.join(added)} {what} for {word} {container['name']}")
            if resources:
                container["resources"] = resources
    if said:
        pod["metadata"]["annotations"] = {
            **annotations_of(pod),
            _ANNOTATION: "LimitRanger plugin set: " + "; ".join(said),
        }


def _pod_problems(limit: Object, pod: Object) -> Iterator[str]:
    spec = pod["spec"]
    if limit.get("type") == "Container":
        for container in (*spec["containers"], *(spec.get("initContainers") or ())):
            resources = container.get("resources") or {}
            requests = podresources.amounts(resources.get("requests"))
            yield from _problems(limit, requests, podresources.amounts(resources.get("limits")))
    elif limit.get("type") == "Pod":
        yield from _problems(limit, podresources.requests(pod), podresources.limits(pod))


def _claim_problems(limit: Object, claim: Object) -> Iterator[str]:
    if limit.get("type") != "PersistentVolumeClaim":
        return
    requests = podresources.amounts(dig(claim, "spec", "resources", "requests"))
    for name, bound in sorted(podresources.amounts(limit.get("min")).items()):
        yield from _too_small(name, "PersistentVolumeClaim", bound, requests, {})
    for name, bound in sorted(podresources.amounts(limit.get("max")).items()):
        start = f"maximum {name} usage per PersistentVolumeClaim is {bound}"
        if name not in requests:
            yield f"{start}.  No request is specified"
        elif requests[name].nanos > bound.nanos:
            yield f"{start}, but request is {requests[name]}"


def _problems(limit: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    sort = limit["type"]
    rules: tuple[tuple[str, _Rule], ...] = (("min", _too_small), ("max", _too_large), ("maxLimitRequestRatio", _apart))
    for field, rule in rules:
        for name, bound in sorted(podresources.amounts(limit.get(field)).items()):
            yield from rule(name, sort, bound, requests, limits)


_Rule = Callable[[str, str, Quantity, Amounts, Amounts], Iterator[str]]


def _too_small(name: str, sort: str, bound: Quantity, requests: Amounts, limits: Amounts) -> Iterator[str]:
    start = f"minimum {name} usage per {sort} is {bound}"
    if name not in requests:
        yield f"{start}.  No request is specified"
    elif requests[name].nanos < bound.nanos:
        yield f"{start}, but request is {requests[name]}"
    elif name in limits and limits[name].nanos < bound.nanos:
        yield f"{start}, but limit is {limits[name]}"


def _too_large(name: str, sort: str, bound: Quantity, requests: Amounts, limits: Amounts) -> Iterator[str]:
    start = f"maximum {name} usage per {sort} is {bound}"
    if name not in limits:
        yield f"{start}.  No limit is specified"
    elif limits[name].nanos > bound.nanos:
        yield f"{start}, but limit is {limits[name]}"
    elif name in requests and requests[name].nanos > bound.nanos:
        yield f"{start}, but request is {requests[name]}"


def _apart(name: str, sort: str, bound: Quantity, requests: Amounts, limits: Amounts) -> Iterator[str]:
    start = f"{name} max limit to request ratio per {sort} is {bound}, but"
    if name not in requests or not requests[name].nanos:
        yield f"{start} no request is specified or request is 0"
    elif name not in limits or not limits[name].nanos:
        yield f"{start} no limit is specified or limit is 0"
    elif limits[name].nanos * 10**9 > bound.nanos * requests[name].nanos:
        yield f"{start} provided ratio is {limits[name].nanos / requests[name].nanos:.6f}"


PLUGIN = Plugin(
    "LimitRanger",
    {
        "pods": frozenset((CREATE,)),
        "pods/resize": frozenset((UPDATE,)),
        "persistentvolumeclaims": frozenset((CREATE, UPDATE)),
    },
    admit,
    validate,
)
