"""How many pods a metric calls for. Pure; values are thousandths.

Pods that are not ready, and ones no metric is known of, are counted in the way that makes the change smaller.
Source: upstream `pkg/controller/podautoscaler/replica_calculator.go`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pylet.api import podresources, quantity, timestamps
from pylet.api.containers import lasting
from pylet.api.object import Object, condition_of, dig, is_terminating
from pylet.api.podtemplate import is_ready
from pylet.server.controllers.autoscaling.metrics import Samples, Unknown

_CPU_INITIALIZATION = timedelta(minutes=5)
_INITIAL_READINESS = timedelta(seconds=30)
_MOST = 2**31 - 1
_UNREADY = "did not receive metrics for targeted pods (pods might be unready)"
_NO_PODS = "no pods returned by selector while calculating replica count"


@dataclass(frozen=True, slots=True)
class Tolerances:
    down: float = 0.1
    up: float = 0.1

    def contain(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Proposal:
    """`average` is what a pod uses; `percent` that of what it requests, where that was asked."""

    replicas: int
    average: int
    percent: int | None = None


@dataclass(slots=True)
class _Grouped:
    ready: int
    unready: set[str]
    missing: set[str]
    ignored: set[str]


def by_utilization(
    pods: Sequence[Object],
    samples: Samples,
    current: int,
    *,
    resource: str,
    container: str,
    percent: int,
    tolerances: Tolerances,
    now: datetime,
) -> Proposal:
    """For a share of what the pods request. Raises: Unknown."""
    groups = _group(pods, samples, resource, now)
    values = _values(samples, groups)
    requests = {pod["metadata"]["name"]: _request(pod, container, resource) for pod in pods}
    ratio, utilization, average = _utilization(values, requests, percent)
    missing = {name: requests[name] * max(100, percent) // 100 for name in groups.missing}
    replicas = _settle(
        groups, values, ratio, current, missing, tolerances, lambda: _utilization(values, requests, percent)[0]
    )
    return Proposal(replicas, average, utilization)


def by_average(
    pods: Sequence[Object],
    samples: Samples,
    current: int,
    *,
    resource: str,
    target: int,
    tolerances: Tolerances,
    now: datetime,
) -> Proposal:
    """For an amount per pod; `resource` is "" for a custom metric. Raises: Unknown."""
    groups = _group(pods, samples, resource, now)
    values = _values(samples, groups)
    average = sum(values.values()) // len(values)
    missing = dict.fromkeys(groups.missing, target)
    replicas = _settle(
        groups,
        values,
        average / target,
        current,
        missing,
        tolerances,
        lambda: sum(values.values()) // len(values) / target,
    )
    return Proposal(replicas, average)


def by_value(pods: Sequence[Object], value: int, current: int, *, target: int, tolerances: Tolerances) -> Proposal:
    """For one value that all pods work on together. Raises: Unknown."""
    ratio = value / target
    if current == 0:
        return Proposal(math.ceil(ratio), value)
    if tolerances.contain(ratio):
        return Proposal(current, value)
    if not pods:
        raise Unknown(f"unable to calculate ready pods: {_NO_PODS}")
    ready = sum(dig(pod, "status", "phase") == "Running" and is_ready(pod) for pod in pods)
    return Proposal(min(_MOST, math.ceil(ratio * ready)), value)


def by_share(value: int, replicas: int, *, target: int, tolerances: Tolerances) -> Proposal:
    """For one value that is divided among `replicas`."""
    ratio = value / (target * replicas) if replicas else math.inf
    wanted = replicas if tolerances.contain(ratio) else min(_MOST, math.ceil(value / target))
    return Proposal(wanted, math.ceil(value / replicas) if replicas else value)


def _group(pods: Sequence[Object], samples: Samples, resource: str, now: datetime) -> _Grouped:
    if not pods:
        raise Unknown(_NO_PODS)
    found = _Grouped(0, set(), set(), set())
    for pod in pods:
        name, phase = pod["metadata"]["name"], dig(pod, "status", "phase")
        if is_terminating(pod) or phase == "Failed":
            found.ignored.add(name)
        elif phase == "Pending":
            found.unready.add(name)
        elif (sample := samples.get(name)) is None:
            found.missing.add(name)
        elif resource == "cpu" and _is_warming_up(pod, sample.at, sample.window, now):
            found.unready.add(name)
        else:
            found.ready += 1
    return found


def _is_warming_up(pod: Object, at: datetime, window: timedelta, now: datetime) -> bool:
    """Whether what the pod uses says little yet, because it starts."""
    condition, started = condition_of(pod, "Ready"), dig(pod, "status", "startTime")
    if condition is None or started is None:
        return True
    start, since = timestamps.parse(started), timestamps.parse(condition["lastTransitionTime"])
    if start + _CPU_INITIALIZATION > now:
        return condition["status"] == "False" or at < since + window
    return condition["status"] == "False" and start + _INITIAL_READINESS > since


def _values(samples: Samples, groups: _Grouped) -> dict[str, int]:
    values = {n: sample.value for n, sample in samples.items() if n not in groups.ignored and n not in groups.unready}
    if not values:
        raise Unknown(_UNREADY)
    return values


def _utilization(values: Mapping[str, int], requests: Mapping[str, int], percent: int) -> tuple[float, int, int]:
    """The share of the target, the share of what is requested in percent, and the average."""
    known = [name for name in values if name in requests]
    requested = sum(requests[name] for name in known)
    if not requested:
        raise Unknown("no metrics returned matched known pods")
    used = sum(values[name] for name in known)
    share = used * 100 // requested
    return share / percent, share, used // len(known)


def _settle(
    groups: _Grouped,
    values: dict[str, int],
    ratio: float,
    current: int,
    missing: Mapping[str, int],
    tolerances: Tolerances,
    again: Callable[[], float],
) -> int:
    """The number of pods for a ratio; `values` gets a guess for the pods nothing is known of, and counts once more."""
    grows_unready = bool(groups.unready) and ratio > 1.0
    if not grows_unready and not groups.missing:
        return current if tolerances.contain(ratio) else math.ceil(ratio * groups.ready)
    if ratio < 1.0:
        values.update(missing)
    elif ratio > 1.0:
        values.update(dict.fromkeys(groups.missing, 0))
    if grows_unready:
        values.update(dict.fromkeys(groups.unready, 0))
    fresh = again()
    if tolerances.contain(fresh) or (ratio < 1.0 < fresh) or (fresh < 1.0 < ratio):
        return current
    wanted = math.ceil(fresh * len(values))
    turns = (fresh < 1.0 and wanted > current) or (fresh > 1.0 and wanted < current)
    return current if turns else wanted


def _request(pod: Object, container: str, resource: str) -> int:
    """What a pod, or one container of it, asks for. Raises: Unknown."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    if not container and dig(spec, "resources", "requests"):
        asked = podresources.requests(pod).get(resource)
        if asked is None:
            raise Unknown(f"missing pod-level request for {resource} in Pod {name}")
        return quantity.milli_of(str(asked))
    total = 0
    for each in lasting(spec):
        if container and container != each["name"]:
            continue
        amount = dig(each, "resources", "requests", resource)
        if amount is None:
            raise Unknown(f"missing request for {resource} in container {each['name']} of Pod {name}")
        total += quantity.milli_of(amount)
        if container:
            return total
    if container:
        raise Unknown(f"container {container} not found in Pod {name}")
    return total
