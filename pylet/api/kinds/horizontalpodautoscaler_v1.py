"""HorizontalPodAutoscalers as autoscaling/v1 serves them: the CPU target as a field, the rest of v2 in annotations.

Source: pkg/apis/autoscaling/v1/conversion.go. Annotations spell metrics as v1's own types, and the behavior as Go
names its internal type's fields.
"""

from __future__ import annotations

from typing import Any

import orjson

from pylet.api.kind import Kind
from pylet.api.kinds import horizontalpodautoscaler as v2
from pylet.api.object import Object, dig

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS = _PREFIX + "metrics"
_CURRENT = _PREFIX + "current-metrics"
_CONDITIONS = _PREFIX + "conditions"
_BEHAVIOR = _PREFIX + "behavior"
_ROUND_TRIP = (
    _METRICS,
    _CURRENT,
    _CONDITIONS,
    _BEHAVIOR,
    _PREFIX + "scale-down-tolerance",
    _PREFIX + "scale-up-tolerance",
)
_RULE_FIELDS = ("StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance")
_POLICY_FIELDS = ("Type", "Value", "PeriodSeconds")


def from_stored(obj: Object) -> Object:
    spec, status, meta = dict(obj["spec"]), dict(obj.get("status") or {}), dict(obj["metadata"])
    notes = {name: text for name, text in (meta.get("annotations") or {}).items() if name not in _ROUND_TRIP}
    metrics, others = spec.pop("metrics", None) or [], []
    for metric in metrics:
        utilization = _cpu_utilization(metric, "target")
        if utilization is None:
            others.append(_metric_to_v1(metric))
        else:
            spec["targetCPUUtilizationPercentage"] = utilization
    if others:
        notes[_METRICS] = _dump(others)
    current = status.pop("currentMetrics", None) or []
    for metric in current:
        utilization = _cpu_utilization(metric, "current")
        if utilization is not None:
            status["currentCPUUtilizationPercentage"] = utilization
    if current:
        notes[_CURRENT] = _dump([_status_to_v1(metric) for metric in current])
    behavior = spec.pop("behavior", None)
    if behavior is not None:
        notes[_BEHAVIOR] = _dump(_behavior_to_go(behavior))
    conditions = status.pop("conditions", None)
    if conditions:
        notes[_CONDITIONS] = _dump(conditions)
    meta.pop("annotations", None)
    if notes:
        meta["annotations"] = notes
    status.setdefault("currentReplicas", 0)
    return {**obj, "apiVersion": "autoscaling/v1", "metadata": meta, "spec": spec, "status": status}


def to_stored(obj: Object) -> Object:
    spec, status, meta = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), dict(obj["metadata"])
    notes = dict(meta.get("annotations") or {})
    read: dict[str, Any] = {name: _load(notes.pop(name)) for name in _ROUND_TRIP if name in notes}
    metrics = [_metric_to_v2(metric) for metric in read.get(_METRICS) or ()]
    target = spec.pop("targetCPUUtilizationPercentage", None)
    if target is not None:
        metrics.append(_cpu_metric("target", {"type": "Utilization", "averageUtilization": target}))
    if metrics:
        spec["metrics"] = metrics
    if isinstance(read.get(_BEHAVIOR), dict) and any(rules is not None for rules in read[_BEHAVIOR].values()):
        spec["behavior"] = _behavior_to_v2(read[_BEHAVIOR])
        for rules in spec["behavior"].values():
            rules.setdefault("policies", [])  # version 1 has no defaults for them
    used = status.pop("currentCPUUtilizationPercentage", None)
    status["currentMetrics"] = None
    if read.get(_CURRENT):
        status["currentMetrics"] = [_status_to_v2(metric) for metric in read[_CURRENT]]
    elif used is not None:
        status["currentMetrics"] = [_cpu_metric("current", {"averageUtilization": used})]
    if read.get(_CONDITIONS):
        status["conditions"] = read[_CONDITIONS]
    status.setdefault("desiredReplicas", 0)
    meta.pop("annotations", None)
    if notes:
        meta["annotations"] = notes
    return {**obj, "apiVersion": "autoscaling/v2", "metadata": meta, "spec": spec, "status": status}


def _cpu_metric(field: str, value: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", field: value}}


def _cpu_utilization(metric: Object, field: str) -> int | None:
    if metric.get("type") != "Resource" or dig(metric, "resource", "name") != "cpu":
        return None
    found: int | None = dig(metric, "resource", field, "averageUtilization")
    return found


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def _load(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None  # as upstream: what isn't its own writing is dropped


def _present(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value is not None}


def _metric_to_v1(metric: Object) -> Object:
    made: Object = {"type": metric.get("type", "")}
    for kind in ("object", "pods", "resource", "containerResource", "external"):
        if kind in metric:
            source = metric[kind]
            made[kind] = _source_to_v1(kind, source, source.get("target") or {}, source.get("metric") or {})
    return made


def _source_to_v1(kind: str, source: Object, target: Object, metric: Object) -> Object:
    name, chosen = metric.get("name", ""), metric.get("selector")
    value, average = target.get("value"), target.get("averageValue")
    match kind:
        case "object":
            plain = {"target": source.get("describedObject", {}), "metricName": name, "targetValue": value or "0"}
            return plain | _present(selector=chosen, averageValue=average)
        case "pods":
            return {"metricName": name, "targetAverageValue": average or "0"} | _present(selector=chosen)
        case "external":
            return {"metricName": name} | _present(metricSelector=chosen, targetValue=value, targetAverageValue=average)
    return _present(
        name=source.get("name", ""),
        targetAverageUtilization=target.get("averageUtilization"),
        targetAverageValue=average,
        container=source.get("container"),
    )


def _metric_to_v2(metric: Object) -> Object:
    made: Object = {"type": metric.get("type", "")}
    for kind in ("object", "pods", "resource", "containerResource", "external"):
        if metric.get(kind) is not None:
            made[kind] = _source_to_v2(kind, metric[kind])
    return made


def _source_to_v2(kind: str, source: Object) -> Object:
    metric = {"name": source.get("metricName", "")} | _present(
        selector=source.get("metricSelector" if kind == "external" else "selector")
    )
    value, average = source.get("targetValue"), source.get("targetAverageValue")
    match kind:
        case "object":
            average = source.get("averageValue")
            if average is not None and value == "0":
                value = None
            target = _target("Value" if average is None else "AverageValue", value, average)
            return {"describedObject": source.get("target", {}), "metric": metric, "target": target}
        case "pods":
            return {"metric": metric, "target": _target("AverageValue", None, average or "0")}
        case "external":
            return {"metric": metric, "target": _target("AverageValue" if value is None else "Value", value, average)}
    utilization = source.get("targetAverageUtilization")
    target = _target("AverageValue" if utilization is None else "Utilization", None, average)
    named = _present(name=source.get("name", ""), container=source.get("container"))
    return named | {"target": target | _present(averageUtilization=utilization)}


def _target(kind: str, value: str | None, average: str | None) -> Object:
    return {"type": kind} | _present(value=value, averageValue=average)


def _status_to_v1(metric: Object) -> Object:
    made: Object = {"type": metric.get("type", "")}
    for kind in ("object", "pods", "resource", "containerResource", "external"):
        if kind not in metric:
            continue
        source = metric[kind]
        current, named = source.get("current") or {}, source.get("metric") or {}
        value, average = current.get("value"), current.get("averageValue")
        name, chosen = named.get("name", ""), named.get("selector")
        match kind:
            case "object":
                plain = {"target": source.get("describedObject", {}), "metricName": name, "currentValue": value or "0"}
                made[kind] = plain | _present(selector=chosen, averageValue=average)
            case "pods":
                made[kind] = {"metricName": name, "currentAverageValue": average or "0"} | _present(selector=chosen)
            case "external":
                made[kind] = _present(
                    metricName=name, metricSelector=chosen, currentValue=value or "0", currentAverageValue=average
                )
            case _:
                made[kind] = _present(
                    name=source.get("name", ""),
                    currentAverageUtilization=current.get("averageUtilization"),
                    currentAverageValue=average or "0",
                    container=source.get("container"),
                )
    return made


def _status_to_v2(metric: Object) -> Object:
    made: Object = {"type": metric.get("type", "")}
    for kind in ("object", "pods", "resource", "containerResource", "external"):
        source = metric.get(kind)
        if source is None:
            continue
        average = source.get("averageValue" if kind == "object" else "currentAverageValue")
        current = _present(
            value=source.get("currentValue"),
            averageValue=average,
            averageUtilization=source.get("currentAverageUtilization"),
        )
        if kind in ("resource", "containerResource"):
            made[kind] = _present(name=source.get("name", ""), container=source.get("container"), current=current)
            continue
        chosen = source.get("metricSelector" if kind == "external" else "selector")
        named = {"name": source.get("metricName", "")} | _present(selector=chosen)
        made[kind] = _present(describedObject=source.get("target"), metric=named, current=current)
    return made


def _behavior_to_go(behavior: Object) -> Object:
    """As Go marshals a struct without tags: every field under its Go name, null where unset."""

    def rules(of: Object | None) -> Object | None:
        if of is None:
            return None
        made = {name: of.get(_lower(name)) for name in _RULE_FIELDS}
        policies = [{name: each.get(_lower(name)) for name in _POLICY_FIELDS} for each in of.get("policies") or ()]
        return made | {"Policies": policies}

    return {"ScaleUp": rules(behavior.get("scaleUp")), "ScaleDown": rules(behavior.get("scaleDown"))}


def _behavior_to_v2(written: Any) -> Any:
    """Go's names as JSON's, and nothing where there is null."""
    if isinstance(written, dict):
        return {_lower(name): _behavior_to_v2(value) for name, value in written.items() if value is not None}
    return [_behavior_to_v2(each) for each in written] if isinstance(written, list) else written


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _cells(obj: Object, now: Any) -> list[Any]:
    assert v2.KIND.cells is not None
    return v2.KIND.cells(to_stored(obj), now)


KIND = Kind(
    group="autoscaling",
    version="v1",
    name="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    definition="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    columns=v2.COLUMNS,
    cells=_cells,
    stored_as=v2.KIND,
    to_stored=to_stored,
    from_stored=from_stored,
)
