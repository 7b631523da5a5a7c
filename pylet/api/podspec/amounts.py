"""Requests and limits, of containers and of whole pods, and which claims on devices containers use."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pylet.api import causes, names, podresources, resources
from pylet.api.errors import Cause
from pylet.api.object import Object, dig
from pylet.api.quantity import parse

_POD = ("cpu", "hugepages-", "memory")


def validate(holder: Object, field: str, claims: Collection[str] = ()) -> list[Cause]:
    """A container's resources; `claims` are the names in the pod's resourceClaims."""
    return _requirements(holder, field, claims, _of_container)


def validate_pod(spec: Object, field: str) -> list[Cause]:
    """A whole pod's resources, which are few and no less than its containers'."""
    holder = spec["resources"]
    found: list[Cause] = []
    if holder.get("claims"):
        found.append(causes.forbidden(f"{field}.claims", "claims may not be set for Resources at pod-level"))
    claims = {claim.get("name", "") for claim in spec.get("resourceClaims") or ()}
    return [*found, *_requirements(holder, field, claims, _of_pod), *_contains(spec, field)]


def _of_container(name: str, field: str) -> list[Cause]:
    return causes.each(field, name, resources.container_problems(name))


def _of_pod(name: str, field: str) -> list[Cause]:
    problems = resources.problems(name)
    if problems or name in _POD or resources.is_hugepages(name):
        return causes.each(field, name, problems)
    return [causes.not_supported(field, name, _POD)]


def _requirements(
    holder: Object, field: str, claims: Collection[str], judge: Callable[[str, str], list[Cause]]
) -> list[Cause]:
    found: list[Cause] = []
    for kind in ("limits", "requests"):
        for name, amount in (holder.get(kind) or {}).items():
            where = f"{field}.{kind}[{name}]"
            found += judge(name, where)
            found += resources.amount(name, amount, where)
            found += _pages(name, amount, where)
    found += _fit(holder, field)
    given = {name for kind in ("limits", "requests") for name in holder.get(kind) or ()}
    if any(map(resources.is_hugepages, given)) and not given & {"cpu", "memory"}:
        found.append(causes.forbidden(field, "HugePages require cpu or memory"))
    return [*found, *_claims(holder.get("claims") or (), claims, f"{field}.claims")]


def _contains(spec: Object, field: str) -> list[Cause]:
    """What of the containers does not fit. Source: validatePodResourceConsistency."""
    found: list[Cause] = []
    for kind in ("requests", "limits"):
        own = spec["resources"].get(kind) or {}
        for name, amount in podresources.aggregated({"spec": spec}, kind).items():
            counts = kind == "requests" or resources.is_hugepages(name)
            if counts and name in own and amount.nanos > parse(own[name]).nanos:
                says = f"must be greater than or equal to aggregate container {kind} of {amount}"
                found.append(causes.invalid(f"{field}.{kind}[{name}]", own[name], says))
    most = spec["resources"].get("limits") or {}
    for position, container in enumerate(spec.get("containers") or ()):
        for name, amount in dig(container, "resources", "limits", default={}).items():
            if name in most and parse(amount).nanos > parse(most[name]).nanos:
                says = f"must be less than or equal to pod limits of {most[name]}"
                found.append(causes.invalid(f"{field}.containers[{position}][{name}].limits", amount, says))
    return found


def _pages(name: str, amount: str, field: str) -> list[Cause]:
    if not resources.is_hugepages(name):
        return []
    try:
        size = parse(name.removeprefix("hugepages-")).nanos
    except ValueError:
        size = 0
    if size > 0 and parse(amount).nanos % size == 0:
        return []
    return [causes.invalid(field, amount, f"{amount} is not positive integer multiple of {name}")]


def _fit(holder: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    limits = holder.get("limits") or {}
    for name, amount in (holder.get("requests") or {}).items():
        limit = limits.get(name)
        if limit is None:
            if not resources.overcommits(name):
                found.append(causes.required(f"{field}.limits", "Limit must be set for non overcommitable resources"))
        elif limit == amount:
            continue
        elif not resources.overcommits(name):
            if parse(amount).nanos != parse(limit).nanos:
                says = f"must be equal to {name} limit of {limit}"
                found.append(causes.invalid(f"{field}.requests", amount, says))
        elif parse(amount).nanos > parse(limit).nanos:
            says = f"must be less than or equal to {name} limit of {limit}"
            found.append(causes.invalid(f"{field}.requests", amount, says))
    return found


def _claims(used: Collection[Object], claims: Collection[str], field: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for position, claim in enumerate(used):
        name, request, where = claim.get("name") or "", claim.get("request") or "", f"{field}[{position}]"
        if not name:
            found.append(causes.required(where))
            continue
        if request:
            found += causes.each(f"{where}.request", request, names.dns_label(request))
        key = f"{name}/{request}" if request else name
        whole_and_part = not request and any(other.startswith(f"{name}/") for other in seen)
        if key in seen or name in seen or whole_and_part:
            found.append(causes.duplicate(where, name if name in seen else key))
        seen.add(key)
        if name not in claims:
            known = f": {', '.join(sorted(claims))}" if claims else " which is empty"
            missing = causes.not_found(where, name)
            says = f"{missing.message}: must be one of the names in pod.spec.resourceClaims{known}"
            found.append(Cause(missing.reason, says, where))
    return found
