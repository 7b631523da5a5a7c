"""PodDisruptionBudgets: counts the healthy pods each covers, and how many of them may be evicted.

An eviction notes its pod in the budget before it deletes the pod; until the deletion shows, or two minutes are over,
that pod counts as gone already. Writes compare and swap, so that no eviction's note is lost.
Source: upstream `pkg/controller/disruption/disruption.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from pylet.api import selector, timestamps
from pylet.api.kind import Kind
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import (
    Key,
    Object,
    conditions_of,
    controller_of,
    dig,
    key_of,
    uid_of,
)
from pylet.api.podtemplate import scaled_value
from pylet.client.view import Entry, View
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.members import member
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Emit, Plan, Update, Watch, itself

_DELETION_TIMEOUT = timedelta(minutes=2)


class _Unknown(Exception):
    """How many pods there should be cannot be said."""


def controller(kinds: Collection[Kind]) -> Controller:
    """For the stored kinds, live: any that can be scaled may own pods."""
    owners = {(kind.group, kind.name): kind for kind in kinds}

    def custom(kind: Kind) -> Watch:
        owners[kind.group, kind.name] = kind
        return Watch(kind, _nobody)

    shared: dict[Key, set[str]] = {}  # pods, by uid, that were told that they have several budgets

    def plan(key: Key, view: View, now: datetime) -> Plan:
        budget, known = view.get(BUDGET, key), shared.pop(key, set())
        if budget is None:
            return NOTHING
        found, several = _plan(budget, owners, view, now), list(_several(budget, view))
        if several:
            shared[key] = {uid_of(each.about) for each in several}
        told = [each for each in several if uid_of(each.about) not in known]
        return replace(found, actions=(*told, *found.actions))

    return Controller("disruption", (Watch(BUDGET, itself), Watch(POD, _of_pod)), plan, custom, "controllermanager")


def _several(budget: Object, view: View) -> Iterator[Emit]:
    """What to say of pods that have other budgets, too: nobody may evict them. Their first budget says it."""
    key = key_of(budget)
    others = [entry.object for other, entry in view.table(BUDGET).in_namespace(key.namespace).items() if other != key]
    if not others:
        return
    chosen = [(each["metadata"]["name"], selector.from_object(each["spec"].get("selector"))) for each in others]
    for pod in view.entries(POD, key.namespace, selector.from_object(budget["spec"].get("selector"))):
        names = [name for name, matches in chosen if matches(pod.labels)]
        if names and key.name < min(names):
            named = f'"{key.namespace}"/"{pod.key.name}"'
            says = f'Pod {named} matches multiple PodDisruptionBudgets.  Chose "{key.name}" arbitrarily.'
            yield Emit(pod.object, "MultiplePodDisruptionBudgets", says, "Warning")


def _plan(budget: Object, owners: dict[tuple[str, str], Kind], view: View, now: datetime) -> Plan:
    pods = view.entries(POD, budget["metadata"]["namespace"], selector.from_object(budget["spec"].get("selector")))
    try:
        expected, desired, unmanaged = _expectation(budget["spec"], pods, owners, view)
    except _Unknown as why:
        return Plan(tuple(_failed(budget, str(why), now)))
    disrupted, late = _disrupted(budget, pods, now)
    known = [(member(pod), pod.key.name) for pod in pods]
    healthy = sum(one.is_ready and not one.is_terminating and name not in disrupted for one, name in known)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    generation = budget["metadata"].get("generation", 0)
    condition = {
        "type": "DisruptionAllowed",
        "status": "True" if allowed else "False",
        "observedGeneration": generation,
        "reason": "SufficientPods" if allowed else "InsufficientPods",
        "message": "",
    }
    status: Object = {
        "observedGeneration": generation,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": with_condition(conditions_of(budget), condition, now),
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    again = min(
        (timestamps.parse(since) + _DELETION_TIMEOUT - now for since in disrupted.values()),
        default=None,
    )
    if status == budget.get("status"):
        return Plan(again_after=again)
    told = [Emit(budget, "NoPods", "No matching pods found")] if not pods else []
    if unmanaged:
        told.append(Emit(budget, "UnmanagedPods", _unmanaged(budget), "Warning"))
    return Plan((*told, *late, Update(BUDGET, {**budget, "status": status}, "status")), again)


def _expectation(
    spec: Object, pods: list[Entry], owners: dict[tuple[str, str], Kind], view: View
) -> tuple[int, int, bool]:
    """Pods there should be, how many of them healthy, and whether some have no controller. Raises: _Unknown."""
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most is None and isinstance(least, int):
        return len(pods), least, False
    if most is None and least is None:
        return 0, 0, False
    expected, unmanaged = _scale(pods, owners, view)
    if most is not None:
        return expected, max(0, expected - scaled_value(most, expected, round_up=True)), unmanaged
    return expected, scaled_value(least, expected, round_up=True), unmanaged


def _scale(pods: list[Entry], owners: dict[tuple[str, str], Kind], view: View) -> tuple[int, bool]:
    """The sizes of all workloads that have some of the pods, added up."""
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    unmanaged = False
    for pod in pods:
        uid = member(pod).controller
        if not uid:
            unmanaged = True
        elif uid not in seen and (owner := controller_of(pod.object)) is not None:
            seen.add(uid)
            found = _sized(owner, pod.key.namespace, owners, view)
            if found is None:
                raise _Unknown(f'found no controllers for pod "{pod.key.name}"')
            kind, workload = found
            scale = kind.scaled_as.scale
            path = ("spec", "replicas") if scale is None else scale.spec
            sizes[uid_of(workload)] = dig(workload, *path, default=0 if scale is not None else 1)
    return sum(sizes.values()), unmanaged


def _sized(
    owner: Object, namespace: str, owners: dict[tuple[str, str], Kind], view: View
) -> tuple[Kind, Object] | None:
    """The workload that says how many pods there should be: a ReplicaSet's Deployment, where it has one."""
    group = owner["apiVersion"].rpartition("/")[0]
    kind = owners.get((group, owner["kind"]))
    if kind is None:
        raise _Unknown(f'no matches for kind "{owner["kind"]}" in version "{owner["apiVersion"]}"')
    found = view.get(kind, Key(namespace if kind.namespaced else "", owner["name"]))
    if "scale" not in kind.scaled_as.subresources:
        raise _Unknown(f"{kind.resource} does not implement the scale subresource")
    if found is None or uid_of(found) != owner["uid"]:
        return None
    above = controller_of(found) if kind is REPLICA_SET else None
    if above is not None and above["kind"] == DEPLOYMENT.name:
        deployment = view.get(DEPLOYMENT, Key(namespace, above["name"]))
        if deployment is not None and uid_of(deployment) == above["uid"]:
            return DEPLOYMENT, deployment
    return kind, found


def _disrupted(budget: Object, pods: Iterable[Entry], now: datetime) -> tuple[Object, list[Action]]:
    """The evictions whose deletion has yet to show, and what to say of those it is late for."""
    noted = dig(budget, "status", "disruptedPods", default={})
    waiting: Object = {}
    late: list[Action] = []
    for pod in pods:
        since = noted.get(pod.key.name)
        if since is None or member(pod).is_terminating:
            continue
        if timestamps.parse(since) + _DELETION_TIMEOUT > now:
            waiting[pod.key.name] = since
        else:
            says = f"Pod was expected by PDB {key_of(budget)} to be deleted but it wasn't"
            late.append(Emit(pod.object, "NotDeleted", says, "Warning"))
    return waiting, late


def _failed(budget: Object, why: str, now: datetime) -> Iterator[Action]:
    """Nothing may be evicted as long as nobody can say how much is enough."""
    condition = {
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": dig(budget, "status", "observedGeneration", default=0),
        "reason": "SyncFailed",
        "message": why,
    }
    before = budget.get("status") or {}
    conditions = with_condition(conditions_of(budget), condition, now)
    status = {**before, "disruptionsAllowed": 0, "conditions": conditions}
    if status != before:
        says = f"Failed to calculate the number of expected pods: {why}"
        yield Emit(budget, "CalculateExpectedPodCountFailed", says, "Warning")
        yield Update(BUDGET, {**budget, "status": status}, "status")


def _unmanaged(budget: Object) -> str:
    return (
        f"Pods selected by this PodDisruptionBudget (selector: {_printed(budget['spec'].get('selector'))}) were found "
        "to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in "
        'undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer '
        "value."
    )


def _printed(chosen: Object | None) -> str:
    """A LabelSelector as Go prints it."""
    if chosen is None:
        return "nil"
    labels = "".join(f"{name}: {value}," for name, value in sorted((chosen.get("matchLabels") or {}).items()))
    terms = "".join(
        f"LabelSelectorRequirement{{Key:{term['key']},Operator:{term['operator']},"
        f"Values:[{' '.join(term.get('values') or ())}],}},"
        for term in chosen.get("matchExpressions") or ()
    )
    matching = f"MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{terms}}},"
    return f"&LabelSelector{{{matching}}}"


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    for budget in view.table(BUDGET).in_namespace(entry.key.namespace).values():
        if selector.from_object(budget.object["spec"].get("selector"))(entry.labels):
            yield budget.key


def _nobody(entry: Entry, view: View) -> Iterable[Key]:
    """A workload's size counts when the next of its pods changes."""
    return ()
