"""What one object counts for in a quota, and which quotas it falls under. Pure.

Source: pkg/quota/v1/evaluator/core, apiserver pkg/quota/v1/generic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from pylet.api import podresources, qos, resources, timestamps
from pylet.api.containers import planned
from pylet.api.kind import Kind
from pylet.api.object import Object, dig
from pylet.api.podresources import Amounts
from pylet.api.podtemplate import is_finished
from pylet.api.quantity import NANOS, Quantity

ONE = Quantity(NANOS)
IGNORED = frozenset(("bindings", "componentstatuses", "events", "events.events.k8s.io", "localsubjectaccessreviews"))

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_OF_PODS = frozenset(
    ("pods", "count/pods", *_COMPUTE, *(f"{kind}.{name}" for kind in ("requests", "limits") for name in _COMPUTE))
)
_OF_SERVICES = frozenset(("services", "count/services", "services.nodeports", "services.loadbalancers"))
_OF_CLAIMS = frozenset(("persistentvolumeclaims", "count/persistentvolumeclaims", "requests.storage"))
_BY_CLASS = tuple(f".storageclass.storage.k8s.io/{name}" for name in ("persistentvolumeclaims", "requests.storage"))
BY_DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_MOST_DEVICES = 32  # resource.k8s.io AllocationResultsMaxSize
_ALIASES = frozenset(("configmaps", "resourcequotas", "replicationcontrollers", "secrets"))
_REQUIRED = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


class Scopes(NamedTuple):
    """What the scopes of quotas ask about an object."""

    is_terminating: bool = False
    is_best_effort: bool = False
    priority_class: str = ""
    is_across_namespaces: bool = False
    attribute_classes: frozenset[str] = frozenset()


class Measured(NamedTuple):
    """`used` until `ends`, then `lasting` only: of a pod that should be gone nothing but its existence counts."""

    scopes: Scopes
    used: Amounts
    ends: datetime | None = None
    lasting: Amounts | None = None


@dataclass(frozen=True, slots=True)
class Evaluator:
    """How one resource is counted. `measure` is None where an object counts as one and nothing else.

    `in_scope` is None where objects fall under no scope at all.
    """

    resource: str
    matches: Callable[[str], bool]
    measure: Callable[[Object], Measured] | None = None
    in_scope: Callable[[Scopes, str, str, tuple[str, ...]], bool] | None = None

    def names(self, hard: Iterable[str]) -> list[str]:
        return [name for name in hard if self.matches(name)]

    def measured(self, obj: Object) -> Measured:
        if self.measure is not None:
            return self.measure(obj)
        names = [f"count/{self.resource}", *([self.resource] if self.resource in _ALIASES else ())]
        return Measured(Scopes(), dict.fromkeys(names, ONE))

    def covers(self, quota: Object, scopes: Scopes) -> bool:
        """Whether a quota's scopes hold for an object that is `scopes`."""
        return all(self.selects(term, scopes) for term in scope_terms(quota["spec"]))

    def selects(self, term: Object, scopes: Scopes) -> bool:
        """Whether an object that is `scopes` is of that scope."""
        name, operator, values = term.get("scopeName", ""), term.get("operator", ""), tuple(term.get("values") or ())
        return self.in_scope is not None and self.in_scope(scopes, name, operator, values)


def scope_terms(spec: Object) -> list[Object]:
    """The scopes that a quota asks for."""
    named = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return [*named, *dig(spec, "scopeSelector", "matchExpressions", default=())]


def evaluator_of(kind: Kind) -> Evaluator:
    return evaluator(kind.resource)


@cache
def evaluator(resource: str) -> Evaluator:
    """The evaluator of a qualified resource: `pods`, `deployments.apps`."""
    special = _SPECIAL.get(resource)
    if special is not None:
        return special
    names = {f"count/{resource}", resource if resource in _ALIASES else ""}
    return Evaluator(resource, names.__contains__)


def resources_of(hard: Iterable[str]) -> set[str]:
    """The qualified resources whose objects a quota with those names counts."""
    found: set[str] = set()
    for name in hard:
        if name.startswith("count/"):
            found.add(name.removeprefix("count/"))
        elif name in _ALIASES:
            found.add(name)
        else:
            found.update(special.resource for special in _SPECIAL.values() if special.matches(name))
    return found


def missing(pod: Object, names: Iterable[str]) -> str:
    """What a pod's containers have to say but don't, as upstream words it; "" when nothing is missing."""
    if podresources.has_own(pod):
        return ""
    required = sorted(set(names).intersection(_REQUIRED))
    lacking: dict[str, set[str]] = {}
    for container in planned(pod["spec"]):
        said = container.get("resources") or {}
        for name in required:
            holder, _, resource = name.rpartition(".")
            if resource not in (said.get(holder or "requests") or {}):
                lacking.setdefault(name, set()).add(container["name"])
    texts = [f"{name} for: {','.join(sorted(containers))}" for name, containers in lacking.items()]
    return "must specify " + "; ".join(sorted(texts)) if texts else ""


# ---- pods


def is_terminating_pod(pod: Object) -> bool:
    seconds = pod["spec"].get("activeDeadlineSeconds")
    return seconds is not None and seconds >= 0


def _measure_pod(pod: Object) -> Measured:
    spec = pod["spec"]
    scopes = Scopes(
        is_terminating=is_terminating_pod(pod),
        is_best_effort=qos.qos_class(pod) == qos.BEST_EFFORT,
        priority_class=spec.get("priorityClassName") or "",
        is_across_namespaces="affinity" in spec and _reaches_across(spec["affinity"]),
    )
    lasting = {"count/pods": ONE}
    if is_finished(pod):
        return Measured(scopes, lasting)
    used: Amounts = {**lasting, "pods": ONE}
    for name, amount in podresources.requests(pod, is_live=True).items():
        if name in _COMPUTE or resources.is_hugepages(name):
            used[name] = used[f"requests.{name}"] = amount
        elif resources.is_extended(name) or name.startswith(resources.OF_CLASS):
            used[f"requests.{name}"] = amount
    for name, amount in podresources.limits(pod, is_live=True).items():
        if name in _COMPUTE:
            used[f"limits.{name}"] = amount
    meta = pod["metadata"]
    ends = None
    if meta.get("deletionTimestamp") and meta.get("deletionGracePeriodSeconds") is not None:
        ends = timestamps.parse(meta["deletionTimestamp"]) + timedelta(seconds=meta["deletionGracePeriodSeconds"])
    return Measured(scopes, used, ends, lasting)


def _reaches_across(affinity: Object) -> bool:
    for sort in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(sort) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        weighted = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [term.get("podAffinityTerm") or {} for term in weighted]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def _pod_in_scope(scopes: Scopes, scope: str, operator: str, values: tuple[str, ...]) -> bool:
    match scope:
        case "Terminating":
            return scopes.is_terminating
        case "NotTerminating":
            return not scopes.is_terminating
        case "BestEffort":
            return scopes.is_best_effort
        case "NotBestEffort":
            return not scopes.is_best_effort
        case "CrossNamespacePodAffinity":
            return scopes.is_across_namespaces
        case "PriorityClass":
            return _selects(operator, values, scopes.priority_class)
    return False


def _selects(operator: str, values: tuple[str, ...], value: str) -> bool:
    match operator:
        case "In":
            return bool(value) and value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return bool(value)
    return not value


def _is_of_pods(name: str) -> bool:
    if name in _OF_PODS or name.startswith(("hugepages-", "requests.hugepages-")):
        return True
    asked = name.removeprefix("requests.")
    return asked != name and (not resources.is_native(name) or asked.startswith(resources.OF_CLASS))


# ---- services, claims


def _measure_service(service: Object) -> Measured:
    spec = service["spec"]
    ports, sort = spec.get("ports") or (), spec.get("type")
    node_ports = balancers = 0
    if sort in ("NodePort", "LoadBalancer"):
        node_ports = len(ports)
    if sort == "LoadBalancer":
        balancers = 1
        if spec.get("allocateLoadBalancerNodePorts") is False:
            node_ports = sum(1 for port in ports if port.get("nodePort"))
    used = {
        "count/services": ONE,
        "services": ONE,
        "services.nodeports": Quantity(node_ports * NANOS),
        "services.loadbalancers": Quantity(balancers * NANOS),
    }
    return Measured(Scopes(), used)


def _measure_claim(claim: Object) -> Measured:
    spec, status = claim["spec"], claim.get("status") or {}
    annotations: Mapping[str, str] = claim["metadata"].get("annotations") or {}
    named = annotations.get(_CLASS_ANNOTATION, spec.get("storageClassName") or "")
    used: Amounts = {"count/persistentvolumeclaims": ONE, "persistentvolumeclaims": ONE}
    asked = podresources.amounts(dig(spec, "resources", "requests")).get("storage")
    if asked is not None:
        given = podresources.amounts(status.get("allocatedResources")).get("storage", asked)
        larger = given if given.nanos > asked.nanos else asked
        used["requests.storage"] = larger._replace(nanos=-(-larger.nanos // NANOS) * NANOS)
    if named:
        for name in ("persistentvolumeclaims", "requests.storage"):
            if name in used:
                used[f"{named}.storageclass.storage.k8s.io/{name}"] = used[name]
    classes = (
        spec.get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        dig(status, "modifyVolumeStatus", "targetVolumeAttributesClassName"),
    )
    return Measured(Scopes(attribute_classes=frozenset(name for name in classes if name)), used)


def _claim_in_scope(scopes: Scopes, scope: str, operator: str, values: tuple[str, ...]) -> bool:
    if scope != "VolumeAttributesClass":
        return False
    return any(_selects(operator, values, name) for name in scopes.attribute_classes or ("",))


def _is_of_claims(name: str) -> bool:
    return name in _OF_CLAIMS or name.endswith(_BY_CLASS)


def _measure_devices(claim: Object) -> Measured:
    used: Amounts = {"count/resourceclaims.resource.k8s.io": ONE}
    for request in dig(claim, "spec", "devices", "requests", default=()):
        most: dict[str, int] = {}
        for one in request.get("firstAvailable") or [request.get("exactly") or {}]:
            if one.get("deviceClassName"):
                name = one["deviceClassName"] + BY_DEVICE_CLASS
                most[name] = max(most.get(name, 0), _devices(one))
        podresources.add(used, {name: Quantity(number * NANOS) for name, number in most.items()})
    return Measured(Scopes(), used)


def _devices(request: Object) -> int:
    if request.get("allocationMode") == "All":
        return _MOST_DEVICES
    return int(request.get("count") or 0) if request.get("allocationMode") == "ExactCount" else 0


def _is_of_devices(name: str) -> bool:
    return name == "count/resourceclaims.resource.k8s.io" or name.endswith(BY_DEVICE_CLASS)


_SPECIAL = {
    found.resource: found
    for found in (
        Evaluator("pods", _is_of_pods, _measure_pod, _pod_in_scope),
        Evaluator("services", _OF_SERVICES.__contains__, _measure_service),
        Evaluator("persistentvolumeclaims", _is_of_claims, _measure_claim, _claim_in_scope),
        Evaluator("resourceclaims.resource.k8s.io", _is_of_devices, _measure_devices),
    )
}
