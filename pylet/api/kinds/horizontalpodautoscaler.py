"""HorizontalPodAutoscalers, as autoscaling/v2 serves and the store keeps them. Source: autoscaling validation.go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, names, quantity, resources
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig
from pylet.api.podspec import template

_TYPES = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_POPULATE = "must populate information for the given metric source"
_TARGETS = ("Utilization", "Value", "AverageValue")
_LONGEST_WINDOW, _LONGEST_PERIOD = 3600, 1800
_SHOWN = 2


class HorizontalPodAutoscalerStrategy(Strategy):
    has_status = True
    new_status: ClassVar[Object] = {"currentMetrics": None, "desiredReplicas": 0}

    def validate(self, obj: Object) -> Sequence[Cause]:
        return _spec(obj["spec"], {})

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            status = obj.get("status") or {}
            return template.not_negative(status, "currentReplicas", "desiredReplicas", field="status")
        return _spec(obj["spec"], old["spec"])


def _spec(spec: Object, old: Object) -> list[Cause]:
    """`old` is empty for a new one; what was there before is let be."""
    found: list[Cause] = []
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if least is not None:
        bound = 0 if old.get("minReplicas") == 0 else 1
        if least < bound:
            found.append(causes.invalid("spec.minReplicas", least, f"must be greater than or equal to {bound}"))
    if most == 0:
        found.append(causes.required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        found.append(causes.invalid("spec.maxReplicas", most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        says = "must be greater than or equal to `minReplicas`"
        found.append(causes.invalid("spec.maxReplicas", most, says))
    target, before = spec["scaleTargetRef"], old.get("scaleTargetRef")
    same = before is not None and all(before.get(name) == target.get(name) for name in ("apiVersion", "kind"))
    grouped = target.get("kind") != "ReplicationController"
    found += _reference(target, "spec.scaleTargetRef", grouped=grouped, any_version=same)
    metrics = spec.get("metrics") or ()
    for position, metric in enumerate(metrics):
        found += _metric(metric, f"spec.metrics[{position}]")
    if least == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        says = "must specify at least one Object or External metric to support scaling to zero replicas"
        found.append(causes.forbidden("spec.metrics", says))
    for direction in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(direction)
        if rules is not None:
            found += _rules(rules, f"spec.behavior.{direction}")
    return found


def _reference(reference: Object, field: str, *, grouped: bool, any_version: bool = False) -> list[Cause]:
    """`grouped`: the core group is no answer."""
    found: list[Cause] = []
    for name in ("kind", "name"):
        value = reference.get(name) or ""
        if not value:
            found.append(causes.required(f"{field}.{name}"))
        else:
            found += causes.each(f"{field}.{name}", value, names.path_segment(value))
    version = reference.get("apiVersion") or ""
    group, slash, _ = version.partition("/")
    if any_version:
        return found
    if version.count("/") > 1:
        says = f"unexpected GroupVersion string: {version}"
        found.append(causes.invalid(f"{field}.apiVersion", version, says))
    elif grouped and not (slash and group):
        found.append(causes.invalid(f"{field}.apiVersion", version, "apiVersion must specify API group"))
    return found


def _metric(metric: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    kind = metric.get("type") or ""
    if not kind:
        found.append(causes.required(f"{field}.type", "must specify a metric source type"))
    if kind not in _TYPES:
        found.append(causes.not_supported(f"{field}.type", kind, sorted(_TYPES)))
    given = [name for name in _TYPES.values() if name in metric]
    if given:
        found += _source(given[0], metric[given[0]], f"{field}.{given[0]}")
    expected = _TYPES.get(kind)
    if expected is None:
        found.append(causes.not_supported(f"{field}.type", kind, sorted(_TYPES)))
    elif expected not in metric:
        found.append(causes.required(f"{field}.{expected}", _POPULATE))
    if len(given) != 1:
        says = "must populate the given metric source only"
        found += [causes.forbidden(f"{field}.{name}", says) for name in given if name != expected]
    return found


def _source(kind: str, source: Object, field: str) -> list[Cause]:
    target = source.get("target") or {}
    value, average = target.get("value"), target.get("averageValue")
    where = f"{field}.target"
    found: list[Cause] = []
    match kind:
        case "resource" | "containerResource":
            return _resource(source, target, field, in_container=kind == "containerResource")
        case "object":
            described = source.get("describedObject") or {}
            found += _reference(described, f"{field}.describedObject", grouped=False)
    metric = (source.get("metric") or {}).get("name") or ""
    if not metric:
        found.append(causes.required(f"{field}.metric.name", "must specify a metric name"))
    else:
        found += causes.each(f"{field}.metric.name", metric, names.path_segment(metric))
    found += _target(target, where)
    if kind == "pods":
        if average is None:
            says = "must specify a positive target averageValue"
            found.append(causes.required(f"{where}.averageValue", says))
    elif value is None and average is None:
        either = "averageValue" if kind == "object" else "for metric or a per-pod target"
        says = f"must set either a target value {'or ' if kind == 'object' else ''}{either}"
        found.append(causes.required(f"{where}.averageValue", says))
    elif kind == "external" and value is not None and average is not None:
        says = "may not set both a target value for metric and a per-pod target"
        found.append(causes.forbidden(f"{where}.value", says))
    return found


def _resource(source: Object, target: Object, field: str, *, in_container: bool) -> list[Cause]:
    found: list[Cause] = []
    name, container = source.get("name") or "", source.get("container") or ""
    if not name:
        found.append(causes.required(f"{field}.name", "must specify a resource name"))
    elif in_container:
        found += causes.each(f"{field}.name", name, resources.container_problems(name))
    if in_container and not container:
        found.append(causes.required(f"{field}.container", "must specify a container"))
    elif in_container:
        found += causes.each(f"{field}.container", container, names.dns_label(container))
    found += _target(target, f"{field}.target")
    utilization, average = "averageUtilization" in target, "averageValue" in target
    if not utilization and not average:
        says = "must set either a target raw value or a target utilization"
        found.append(causes.required(f"{field}.target.averageUtilization", says))
    if utilization and average:
        says = "may not set both a target raw value and a target utilization"
        found.append(causes.forbidden(f"{field}.target.averageValue", says))
    return found


def _target(target: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    kind = target.get("type") or ""
    if not kind:
        found.append(causes.required(f"{field}.type", "must specify a metric target type"))
    if kind not in _TARGETS:
        found.append(causes.invalid(f"{field}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if name in target and quantity.parse(target[name]).nanos <= 0:
            found.append(causes.invalid(f"{field}.{name}", target[name], "must be positive"))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        found.append(causes.invalid(f"{field}.averageUtilization", utilization, "must be greater than 0"))
    return found


def _rules(rules: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    window = rules.get("stabilizationWindowSeconds")
    at = f"{field}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        found.append(causes.invalid(at, window, "must be greater than or equal to zero"))
    if window is not None and window > _LONGEST_WINDOW:
        found.append(causes.invalid(at, window, f"must be less than or equal to {_LONGEST_WINDOW}"))
    chosen = rules.get("selectPolicy")
    if chosen is not None and chosen not in ("Disabled", "Max", "Min"):
        found.append(causes.not_supported(f"{field}.selectPolicy", chosen, ("Disabled", "Max", "Min")))
    policies = rules.get("policies") or ()
    if not policies:
        found.append(causes.required(f"{field}.policies", "must specify at least one Policy"))
    for position, policy in enumerate(policies):
        found += _policy(policy, f"{field}.policies[{position}]")
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance).nanos < 0:
        found.append(causes.invalid(f"{field}.tolerance", tolerance, resources.NOT_NEGATIVE))
    return found


def _policy(policy: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    if policy.get("type") not in ("Pods", "Percent"):
        found.append(causes.not_supported(f"{field}.type", policy.get("type", ""), ("Percent", "Pods")))
    for name in ("value", "periodSeconds"):
        if policy.get(name, 0) <= 0:
            found.append(causes.invalid(f"{field}.{name}", policy.get(name, 0), "must be greater than zero"))
    period = policy.get("periodSeconds", 0)
    if period > _LONGEST_PERIOD:
        says = f"must be less than or equal to {_LONGEST_PERIOD}"
        found.append(causes.invalid(f"{field}.periodSeconds", period, says))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    target = spec["scaleTargetRef"]
    return [
        obj["metadata"]["name"],
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _metrics_cell(spec.get("metrics") or [], status.get("currentMetrics") or []),
        str(spec.get("minReplicas", "<unset>")),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        columns.age(obj, now),
    ]


def _metrics_cell(metrics: list[Object], current: list[Object]) -> str:
    """Source: printers.go, formatHPAMetrics."""
    if not metrics:
        return "<none>"
    shown = [_one(metric, current[at] if at < len(current) else {}) for at, metric in enumerate(metrics[:_SHOWN])]
    more = len(metrics) - _SHOWN
    return ", ".join(shown) + (f" + {more} more..." if more > 0 else "")


def _one(metric: Object, current: Object) -> str:
    field = _TYPES.get(metric.get("type", ""))
    if field is None or field not in metric:
        return "<unknown type>"
    source, now = metric[field], dig(current, field, "current", default={})
    target = source.get("target") or {}
    if field in ("resource", "containerResource"):
        name = source.get("name", "")
        if "averageValue" in target:
            return f"{name}: {now.get('averageValue', columns.UNKNOWN)}/{target['averageValue']}"
        used, wanted = now.get("averageUtilization"), target.get("averageUtilization")
        used = columns.UNKNOWN if used is None else f"{used}%"
        return f"{name}: {used}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if field == "pods":
        return f"{now.get('averageValue', columns.UNKNOWN)}/{target.get('averageValue', '<nil>')}"
    if "averageValue" in target:
        return f"{now.get('averageValue', columns.UNKNOWN)}/{target['averageValue']} (avg)"
    return f"{now.get('value', columns.UNKNOWN)}/{target.get('value', '<nil>')}"


COLUMNS = (
    columns.NAME,
    Column("Reference", description="What is scaled."),
    Column("Targets", description="What each metric is, and should be."),
    Column("MinPods", description="The fewest pods it scales down to."),
    Column("MaxPods", description="The most pods it scales up to."),
    Column("Replicas", description="How many pods there are."),
    columns.AGE,
)

KIND = Kind(
    group="autoscaling",
    version="v2",
    name="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    definition="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    strategy=HorizontalPodAutoscalerStrategy(),
    columns=COLUMNS,
    cells=_cells,
)
