"""Eviction: deleting a pod when the disruption budget that covers it allows that. Decisions are pure; `evict` acts.

A running pod spends one of the disruptions its budget allows; the budget's controller counts them anew. Whoever finds
the pod changed meanwhile tries again. Source: pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime

from pylet.api import causes, selector
from pylet.api.errors import ApiError, BadRequest, Conflict, Forbidden, Invalid, TooManyRequests
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.object import Object, condition_of, dig, is_terminating
from pylet.api.timestamps import format_time
from pylet.client.view import Entry
from pylet.server.admission.interface import CREATE
from pylet.server.registry import pods
from pylet.server.registry.metadata import place_in
from pylet.server.registry.request import DeleteOptions, Request
from pylet.server.registry.writing import Writer, private_copy

_ATTEMPTS = 20
_MOST_DISRUPTED = 2000
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
_REASON = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
_DISRUPTED = {"type": "DisruptionTarget", "status": "True", **_REASON}
_BREAKS = "ignoreStoreReadErrorWithClusterBreakingPotential"


def check(eviction: Object, name: str) -> None:
    """What is wrong with it whatever pod there is. Raises: BadRequest, Invalid."""
    if eviction["metadata"].get("name") != name:
        raise BadRequest("name in URL does not match name in Eviction object")
    if (eviction.get("deleteOptions") or {}).get(_BREAKS):
        says = "can not be set for pod eviction, try after removing the option"
        raise Invalid("policy", "Eviction", name, (causes.invalid(f"deleteOptions.{_BREAKS}", True, says),))


async def evict(
    writer: Writer,
    request: Request,
    eviction: Object,
    pod: Callable[[], Entry],
    budgets: Collection[Entry],
    now: Callable[[], datetime],
) -> None:
    """Evict the `pod`, as it is now; `budgets` are all there are, live. Raises: ApiError."""
    check(eviction, request.key.name)
    place_in(request.kind, eviction["metadata"], request.key.namespace)
    await writer.admit(request, CREATE, request.kind, request.key, eviction, None)
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            return await _evict(writer, request, eviction, pod(), budgets, now())
        except Conflict:
            # Somebody changed the pod meanwhile: only whoever asked for one revision hears of that.
            if (eviction.get("deleteOptions") or {}).get("preconditions") or not attempts_left:
                raise


async def _evict(
    writer: Writer, request: Request, eviction: Object, entry: Entry, budgets: Iterable[Entry], now: datetime
) -> None:
    options = DeleteOptions.of(eviction.get("deleteOptions") or {})
    if options.dry_run:
        request = replace(request, dry_run=True)
    pod = entry.object
    if ignores_budgets(pod):
        enforced = dig(pod, "status", "phase") == "Pending" and not is_terminating(pod) and not options.revision
        await _remove(writer, request, replace(options, revision=str(entry.revision)) if enforced else options, now)
        return
    budget = budget_of(pod, (each.object for each in budgets if each.key.namespace == entry.key.namespace))
    if budget is None:
        await _remove(writer, request, options, now)
    elif spares(pod, budget):
        try:
            await _remove(writer, request, replace(options, revision=options.revision or str(entry.revision)), now)
        except Conflict as changed:
            if options.revision:
                raise
            raise _being_processed(budget["metadata"]["name"]) from changed
    else:
        key = entry.key._replace(name=budget["metadata"]["name"])
        spending = replace(request, kind=BUDGET, key=key, subresource="status")
        await writer.put(spending, lambda held: spent(private_copy(held), request.key.name, now))
        await _remove(writer, request, options, now)


async def _remove(writer: Writer, request: Request, options: DeleteOptions, now: datetime) -> None:
    """Say on the pod why it goes, and delete it."""

    def disrupted(held: Entry) -> Object:
        name = request.key.name
        for asked, is_, word in (
            (options.uid, held.uid, "UID"),
            (options.revision, str(held.revision), "ResourceVersion"),
        ):
            if asked and asked != is_:
                what = "deleted and then recreated" if word == "UID" else "modified"
                why = f"the {word} in the precondition ({asked}) does not match the {word} in record ({is_})"
                raise Conflict("", "Pod", name, f"{why}. The object might have been {what}")
        return pods.set_condition(private_copy(held), _DISRUPTED, format_time(now))

    if not request.dry_run:
        marked = await writer.put(request, disrupted)
        if options.revision:
            options = replace(options, revision=str(marked.revision))
    await writer.delete(replace(request, subresource=""), options, is_admitted=True)


def ignores_budgets(pod: Object) -> bool:
    """Pods that serve nobody: finished, not yet started, or going anyway."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed", "Pending") or is_terminating(pod)


def budget_of(pod: Object, budgets: Iterable[Object]) -> Object | None:
    """The one budget of the pod's namespace that covers it. Raises: ApiError when there are several."""
    labels = pod["metadata"].get("labels") or {}
    found = [budget for budget in budgets if selector.from_object(budget["spec"].get("selector"))(labels)]
    if len(found) > 1:
        raise ApiError(_SEVERAL)
    return found[0] if found else None


def spares(pod: Object, budget: Object) -> bool:
    """Whether a pod that isn't ready may go without spending a disruption."""
    ready = condition_of(pod, "Ready")
    if ready is not None and ready.get("status") == "True":
        return False
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy", 0)
    always = budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    return bool(always or status.get("currentHealthy", 0) >= desired > 0)


def spent(budget: Object, pod: str, now: datetime) -> Object:
    """`budget` (private, changed in place) with one disruption less. Raises: TooManyRequests, Forbidden."""
    name, status = budget["metadata"]["name"], budget.setdefault("status", {})
    allowed, disrupted = status.get("disruptionsAllowed", 0), status.setdefault("disruptedPods", {})
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _being_processed(name)
    if allowed < 0:
        raise Forbidden("policy", "poddisruptionbudget", name, "pdb disruptions allowed is negative")
    if len(disrupted) > _MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise Forbidden("policy", "poddisruptionbudget", name, why)
    if not allowed:
        raise _refused(_why_not(name, status, condition_of(budget, "DisruptionAllowed") or {}))
    status["disruptionsAllowed"] = allowed - 1
    disrupted[pod] = format_time(now)
    if allowed == 1:
        _no_more(budget, format_time(now))
    return budget


def _why_not(name: str, status: Object, condition: Object) -> str:
    says, reason = condition.get("message", ""), condition.get("reason", "")
    denied = condition.get("status") == "False" and bool(says)
    has, needs = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    refuses = f"The disruption budget {name} does not allow evicting pods currently"
    if denied and reason == "SyncFailed":
        return f"{refuses} because it failed sync: {says}"
    if has <= needs:
        return f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"
    return f"{refuses} ({reason}): {says}" if denied else refuses


def _no_more(budget: Object, now: str) -> None:
    """The condition that goes with no disruption being allowed; source: pdbhelper.UpdateDisruptionAllowedCondition."""
    fresh: Object = {
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": budget["status"].get("observedGeneration", 0),
        "lastTransitionTime": now,
        "reason": "InsufficientPods",
        "message": "",
    }
    found = condition_of(budget, "DisruptionAllowed")
    if found is None:
        budget["status"].setdefault("conditions", []).append(fresh)
        return
    if found.get("status") == "False":
        fresh["lastTransitionTime"] = found.get("lastTransitionTime", now)
    found.update(fresh)


def _being_processed(name: str) -> TooManyRequests:
    return _refused(f"The disruption budget {name} is still being processed by the server.", retry_seconds=10)


def _refused(why: str, *, retry_seconds: int = 0) -> TooManyRequests:
    error = TooManyRequests(_VIOLATES, retry_seconds=retry_seconds)
    error.details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_seconds:
        error.details["retryAfterSeconds"] = retry_seconds
    return error
