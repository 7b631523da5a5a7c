"""One look at an autoscaler: what its metrics call for, and what it says of that. Pure but for its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pylet.api import quantity, selector, timestamps
from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.kinds.horizontalpodautoscaler import KIND as AUTOSCALER
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, conditions_of, key_of
from pylet.client.view import View
from pylet.server.controllers.autoscaling import calculation, counted, metrics
from pylet.server.controllers.autoscaling.behavior import History, normalize
from pylet.server.controllers.autoscaling.calculation import Proposal, Tolerances
from pylet.server.controllers.autoscaling.metrics import Ask, NotYet, Unknown
from pylet.server.controllers.autoscaling.target import Target, target_of
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import Action, Emit, Patch, patch_status

_FAILED = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


@dataclass(slots=True)
class _Advice:
    """What the metrics call for: the largest number and who says so, how each stands, and which failed and why."""

    most: tuple[int, str] = (0, "")
    shown: list[Object] = field(default_factory=list)
    failed: list[tuple[Object, str]] = field(default_factory=list)


class Look:
    def __init__(
        self,
        autoscaler: Object,
        kinds: Mapping[tuple[str, str], Kind],
        view: View,
        history: History,
        ask: Ask,
        now: datetime,
    ) -> None:
        self._autoscaler = autoscaler
        self._kinds = kinds
        self._view = view
        self._history = history
        self._ask = ask
        self._now = now
        self._conditions = list(conditions_of(autoscaler))
        self._told: list[Action] = []
        self._pods: list[Object] = []
        self.came_to = counted.NONE, counted.NONE
        """In which direction it scales, and what it failed with."""
        rules = autoscaler["spec"].get("behavior") or {}
        down, up = (_tolerance(rules.get(direction) or {}) for direction in ("scaleDown", "scaleUp"))
        self._tolerances = Tolerances(down, up)

    def decide(self) -> tuple[Action, ...]:
        """Raises: NotYet."""
        try:
            target = target_of(self._autoscaler, self._kinds, self._view)
        except Unknown as why:
            self._warn("FailedGetScale", str(why))
            says = f"the HPA controller was unable to get the target's current scale: {why}"
            self._set("AbleToScale", "False", "FailedGetScale", says)
            self.came_to = counted.NONE, counted.INTERNAL
            return self._end(self._autoscaler.get("status") or {})
        says = "the HPA controller was able to get the target's current scale"
        self._set("AbleToScale", "True", "SucceededGetScale", says)
        current, spec = target.replicas, self._autoscaler["spec"]
        if not self._history.advice:
            self._history.advice.append((self._now, current))
        shown: list[Object] = []
        if current == 0:
            says = "scaling is disabled since the replica count of the target is zero"
            self._set("ScalingActive", "False", "ScalingDisabled", says)
            wanted, why_so = 0, ""
        elif current > spec["maxReplicas"]:
            wanted, why_so = spec["maxReplicas"], "Current number of replicas above Spec.MaxReplicas"
        elif current < spec.get("minReplicas", 1):
            wanted, why_so = spec.get("minReplicas", 1), "Current number of replicas below Spec.MinReplicas"
        else:
            found = self._by_metrics(target, shown)
            if found is None:
                return self._end(self._status(current, None, shown))
            wanted, why_so = found
        self.came_to = counted.direction(current, wanted), counted.NONE
        scaling = self._rescale(target, wanted, why_so, shown) if wanted != current else ()
        return (*scaling, *self._end(self._status(current, wanted, shown, rescaled=bool(scaling))))

    # ---- what the metrics call for

    def _by_metrics(self, target: Target, shown: list[Object]) -> tuple[int, str] | None:
        """The wanted number and its reason; `shown` gets what the metrics are. None: nobody can say."""
        spec, current = self._autoscaler["spec"], target.replicas
        if not self._selects(target):
            self.came_to = counted.NONE, counted.SPEC
            return None
        advice = self._advice(target)
        shown += advice.shown
        advised, name = advice.most
        if advice.failed and (len(advice.failed) == len(shown) or advised < current):
            self.came_to = counted.NONE, counted.INTERNAL
            metric, why = advice.failed[0]
            problem = f"invalid metrics ({len(advice.failed)} invalid out of {len(shown)})"
            says = f"the HPA was unable to compute the replica count: {why}"
            self._set("ScalingActive", "False", _FAILED[metric["type"]], says)
            self._warn("FailedComputeMetricsReplicas", f"{problem}, first error is: {_told_as(metric, why)}")
            return None
        says = f"the HPA was able to successfully calculate a replica count from {name}"
        self._set("ScalingActive", "True", "ValidMetricFound", says)
        verdict = normalize(spec, self._history, current, advised, self._now)
        self._set("AbleToScale", "True", *verdict.steady)
        self._set("ScalingLimited", "True" if verdict.is_limited else "False", *verdict.limit)
        return verdict.replicas, f"{name} above target" if advised > current else "All metrics below target"

    def _advice(self, target: Target) -> _Advice:
        """Raises: NotYet."""
        advice = _Advice()
        late: NotYet | None = None
        for metric in self._autoscaler["spec"].get("metrics") or ():
            try:
                proposal, called, status = self._proposal(metric, target)
            except NotYet as unread:
                late = unread  # the others are asked for too
                continue
            except Unknown as why:
                self._warn(_FAILED[metric["type"]], str(why))
                self._told.append(counted.failed_metric(metric["type"]))
                advice.failed.append((metric, str(why)))
                status = {"type": ""}
            else:
                self._told.append(counted.metric(metric["type"], target.replicas, proposal))
                if not advice.most[0] or proposal > advice.most[0]:
                    advice.most = proposal, called
            advice.shown.append(status)
        if late is not None:
            raise late
        return advice

    def _selects(self, target: Target) -> bool:
        """Whether the pods are known, and this autoscaler's alone."""
        if not target.selector:
            self._warn("SelectorRequired", "selector is required")
            self._set("ScalingActive", "False", "InvalidSelector", "the HPA target's scale is missing a selector")
            return False
        try:
            chosen = selector.parse_labels(target.selector)
        except ValueError as bad:
            says = f"couldn't convert selector into a corresponding internal selector object: {bad}"
            self._warn("InvalidSelector", says)
            self._set("ScalingActive", "False", "InvalidSelector", says)
            return False
        namespace = self._autoscaler["metadata"]["namespace"]
        self._pods = self._view.select(POD, namespace, chosen)
        others = [self._autoscaler, *self._rivals()]
        if len(others) == 1:
            return True
        named = " ".join(f"{{{one['metadata']['name']} {namespace}}}" for one in others)
        says = f"pods by selector {target.selector} are controlled by multiple HPAs: [{named}]"
        self._warn("AmbiguousSelector", says)
        self._set("ScalingActive", "False", "AmbiguousSelector", says)
        return False

    def _rivals(self) -> list[Object]:
        """Other autoscalers of some of the same pods."""
        found = []
        for other in self._view.select(AUTOSCALER, self._autoscaler["metadata"]["namespace"]):
            if key_of(other) == key_of(self._autoscaler):
                continue
            try:
                chosen = selector.parse_labels(target_of(other, self._kinds, self._view).selector)
            except (Unknown, ValueError):
                continue
            if any(chosen(pod["metadata"].get("labels") or {}) for pod in self._pods):
                found.append(other)
        return found

    def _proposal(self, metric: Object, target: Target) -> tuple[int, str, Object]:
        """The number, what the metric is called, and how it stands. Raises: Unknown, NotYet."""
        match metric["type"]:
            case "Resource":
                source = metric["resource"]
                proposal = self._resource(source, target, "")
                called = f"{source['name']} resource" + (
                    " utilization (percentage of request)" if proposal.percent is not None else ""
                )
                shown = {"name": source["name"], "current": _current(source["name"], proposal)}
                return proposal.replicas, called, {"type": "Resource", "resource": shown}
            case "ContainerResource":
                source = metric["containerResource"]
                proposal = self._resource(source, target, source["container"])
                called = f"{source['name']} " + (
                    "container resource utilization (percentage of request)"
                    if proposal.percent is not None
                    else "resource"
                )
                shown = {"name": source["name"], "container": source["container"]}
                shown["current"] = _current(source["name"], proposal)
                return proposal.replicas, called, {"type": "ContainerResource", "containerResource": shown}
            case "Pods":
                return self._of_pods(metric["pods"], target)
            case "Object":
                return self._of_object(metric["object"], target)
            case _:
                return self._external(metric["external"], target)

    def _resource(self, source: Object, target: Target, container: str) -> Proposal:
        name, wanted = source["name"], source["target"]
        is_share = "averageValue" not in wanted
        word = "utilization" if is_share else "usage"
        try:
            try:
                samples = metrics.of_resource(
                    self._ask, name, self._autoscaler["metadata"]["namespace"], target.selector, container
                )
            except Unknown as why:
                raise Unknown(f"unable to get metrics for resource {name}: {why}") from why
            if is_share:
                return calculation.by_utilization(
                    self._pods,
                    samples,
                    target.replicas,
                    resource=name,
                    container=container,
                    percent=wanted["averageUtilization"],
                    tolerances=self._tolerances,
                    now=self._now,
                )
            return calculation.by_average(
                self._pods,
                samples,
                target.replicas,
                resource=name,
                target=quantity.milli_of(wanted["averageValue"]),
                tolerances=self._tolerances,
                now=self._now,
            )
        except Unknown as why:
            raise Unknown(f"failed to get {name} {word}: {why}") from why

    def _of_pods(self, source: Object, target: Target) -> tuple[int, str, Object]:
        metric, namespace = source["metric"], self._autoscaler["metadata"]["namespace"]
        try:
            samples = metrics.of_pods(self._ask, metric, namespace, target.selector)
        except Unknown as why:
            raise Unknown(f"unable to get metric {metric['name']}: {why}") from why
        proposal = calculation.by_average(
            self._pods,
            samples,
            target.replicas,
            resource="",
            target=quantity.milli_of(source["target"]["averageValue"]),
            tolerances=self._tolerances,
            now=self._now,
        )
        shown = {"metric": metric, "current": {"averageValue": _milli(proposal.average)}}
        return proposal.replicas, f"pods metric {metric['name']}", {"type": "Pods", "pods": shown}

    def _of_object(self, source: Object, target: Target) -> tuple[int, str, Object]:
        metric, described, wanted = source["metric"], source["describedObject"], source["target"]
        namespace = self._autoscaler["metadata"]["namespace"]
        group = described.get("apiVersion", "").rpartition("/")[0]
        kind = self._kinds.get((group, described["kind"]))
        is_share = wanted["type"] == "AverageValue"
        try:
            if kind is None:
                raise Unknown(f'no matches for kind "{described["kind"]}" in group "{group}"')
            value = metrics.of_object(self._ask, metric, namespace, kind.resource, described["name"])
        except Unknown as why:
            on = f"{described['kind']} {namespace}/{described['name']}"
            says = f"unable to get metric {metric['name']}: {why} on {on}"
            raise Unknown(f"failed to get {metric['name']} object metric: {says}" if is_share else says) from why
        proposal, current = self._of_value(value, wanted, target, share=is_share)
        called = f"external metric {metric['name']}({_printed(metric)})"
        if not is_share:
            called = f"{described['kind']} metric {metric['name']}"
        shown = {"describedObject": described, "metric": metric, "current": current}
        return proposal.replicas, called, {"type": "Object", "object": shown}

    def _external(self, source: Object, target: Target) -> tuple[int, str, Object]:
        metric, wanted, namespace = source["metric"], source["target"], self._autoscaler["metadata"]["namespace"]
        try:
            value = metrics.of_outside(self._ask, metric, namespace)
        except Unknown as why:
            says = f"unable to get external metric {namespace}/{metric['name']}/{_printed(metric)}: {why}"
            raise Unknown(f"failed to get {metric['name']} external metric: {says}") from why
        proposal, current = self._of_value(value, wanted, target, share="averageValue" in wanted)
        called = f"external metric {metric['name']}({_printed(metric)})"
        return proposal.replicas, called, {"type": "External", "external": {"metric": metric, "current": current}}

    def _of_value(self, value: int, wanted: Object, target: Target, *, share: bool) -> tuple[Proposal, Object]:
        if share:
            least = quantity.milli_of(wanted["averageValue"])
            proposal = calculation.by_share(value, target.running, target=least, tolerances=self._tolerances)
            return proposal, {"averageValue": _milli(proposal.average)}
        whole = quantity.milli_of(wanted["value"])
        proposal = calculation.by_value(self._pods, value, target.replicas, target=whole, tolerances=self._tolerances)
        return proposal, {"value": _milli(proposal.average)}

    # ---- what is said and done

    def _rescale(self, target: Target, wanted: int, why: str, shown: list[Object]) -> tuple[Action, ...]:
        self._set(
            "AbleToScale",
            "True",
            "SucceededRescale",
            f"the HPA controller was able to update the target scale to {wanted}",
        )
        if self._autoscaler["spec"].get("behavior") is not None:
            self._history.note(target.replicas, wanted, self._now)
        what = f"New size: {wanted}; reason: {why}"

        def refused(error: ApiError) -> tuple[Action, ...]:
            self._history.strike(self._now)
            self._warn("FailedRescale", f"{what}; error: {error.message}")
            says = f"the HPA controller was unable to update the target scale: {error.message}"
            self._set("AbleToScale", "False", "FailedUpdateScale", says)
            return self._end(self._status(target.replicas, None, shown))

        told = Emit(self._autoscaler, "SuccessfulRescale", what)
        return (Patch(target.kind, target.key, {"spec": {"replicas": wanted}}, "scale", told, refused),)

    def _status(self, current: int, wanted: int | None, shown: list[Object], *, rescaled: bool = False) -> Object:
        before = self._autoscaler.get("status") or {}
        status: Object = {
            "currentReplicas": current,
            "desiredReplicas": before.get("desiredReplicas", 0) if wanted is None else wanted,
        }
        if shown:
            status["currentMetrics"] = shown
        if rescaled:
            status["lastScaleTime"] = timestamps.format_time(self._now)
        elif "lastScaleTime" in before:
            status["lastScaleTime"] = before["lastScaleTime"]
        return status

    def _end(self, status: Object) -> tuple[Action, ...]:
        fresh = {**status, "conditions": self._conditions}
        return (*self._told, *patch_status(AUTOSCALER, self._autoscaler, fresh))

    def _set(self, type_: str, status: str, reason: str, message: str) -> None:
        fresh = {"type": type_, "status": status, "reason": reason, "message": message}
        self._conditions = with_condition(self._conditions, fresh, self._now)

    def _warn(self, reason: str, says: str) -> None:
        self._told.append(Emit(self._autoscaler, reason, says, "Warning"))


def _tolerance(rules: Object) -> float:
    given = rules.get("tolerance")
    return 0.1 if given is None else quantity.parse(given).nanos / quantity.NANOS


def _current(resource: str, proposal: Proposal) -> Object:
    written = quantity.Format.BINARY_SI if resource == "memory" else quantity.Format.DECIMAL_SI
    average = str(quantity.Quantity(proposal.average * 10**6, written))
    if proposal.percent is None:
        return {"averageValue": average}
    return {"averageUtilization": proposal.percent, "averageValue": average}


def _milli(value: int) -> str:
    return str(quantity.Quantity(value * 10**6))


def _printed(metric: Object) -> str:
    """A metric's selector as Go prints it."""
    chosen = metric.get("selector")
    if chosen is None:
        return "nil"
    labels = "".join(f"{name}: {value}," for name, value in sorted((chosen.get("matchLabels") or {}).items()))
    matching = f"MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{}},"
    return f"&LabelSelector{{{matching}}}"


def _told_as(metric: Object, why: str) -> str:
    """Why a metric counts as invalid. Source: computeReplicasForMetric."""
    match metric["type"]:
        case "Resource":
            named = f"{metric['resource']['name']} resource"
        case "ContainerResource":
            named = f"{metric['containerResource']['container']} container"
        case "External":
            named = f"{metric['external']['metric']['name']} external"
        case kind:
            named = kind.lower()
    return f"failed to get {named} metric value: {why}"
