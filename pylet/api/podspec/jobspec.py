"""What a Job's spec must look like, in jobs and in the templates of cron jobs. Source: batch validation.go."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from pylet.api import causes, golang, names
from pylet.api.containers import planned
from pylet.api.errors import Cause
from pylet.api.indexes import parse_indexes
from pylet.api.object import Object, dig, is_true
from pylet.api.podspec import template
from pylet.api.references import domain_prefixed_path

_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MOST_INDEXES = 100_000
_MOST_WHEN_MANY = 10_000
_MOST_RULES = 20
_MOST_EXIT_CODES = 255
_MOST_INDEXES_CHARS = 64 << 10
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
_NEEDS_INDEXED = "requires indexed completion mode"
_MANY = f"when completions are above {_MOST_INDEXES} and used with backoff limit per index"


def validate(spec: Object, field: str) -> list[Cause]:
    """All but the selector, which a cron job's template has not."""
    found = template.not_negative(spec, *_COUNTS, field=field)
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        found.append(causes.required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if "managedBy" in spec:
        found += _managed_by(spec["managedBy"], f"{field}.managedBy")
    mode = spec.get("completionMode", "NonIndexed")
    if mode == "Indexed":
        found += _indexed(spec, field)
    elif mode == "NonIndexed":
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if name in spec:
                found.append(causes.invalid(f"{field}.{name}", spec[name], _NEEDS_INDEXED))
    else:
        found.append(causes.not_supported(f"{field}.completionMode", mode, ("NonIndexed", "Indexed")))
    if "podFailurePolicy" in spec:
        found += _failure_policy(spec, f"{field}.podFailurePolicy.rules")
    if "successPolicy" in spec:
        where = f"{field}.successPolicy"
        if mode == "Indexed":
            found += _success_policy(spec, f"{where}.rules")
        else:
            found.append(causes.invalid(where, golang.inside("SuccessPolicy", spec["successPolicy"]), _NEEDS_INDEXED))
    replacement = spec.get("podReplacementPolicy")
    allowed = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
    if replacement is not None and replacement not in allowed:
        found.append(causes.not_supported(f"{field}.podReplacementPolicy", replacement, allowed))
    found += template.validate(spec["template"], f"{field}.template")
    return [*found, *_restart_policy(spec, f"{field}.template.spec.restartPolicy")]


def _restart_policy(spec: Object, field: str) -> list[Cause]:
    policy = dig(spec, "template", "spec", "restartPolicy", default="")
    if policy in ("", "Always"):
        return [causes.required(field, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [causes.not_supported(field, policy, ("OnFailure", "Never"))]
    if "podFailurePolicy" in spec and policy != "Never":
        return [causes.invalid(field, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _managed_by(name: str, field: str) -> list[Cause]:
    found = domain_prefixed_path(name, field)
    return [*found, causes.too_long(field, names.LABEL_BYTES)] if len(name) > names.LABEL_BYTES else found


def _indexed(spec: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    completions, parallelism = spec.get("completions"), spec.get("parallelism", 0)
    failed = spec.get("maxFailedIndexes")
    if completions is None:
        found.append(causes.required(f"{field}.completions", "when completion mode is Indexed"))
    if parallelism > _MOST_INDEXES:
        says = f"must be less than or equal to {_MOST_INDEXES} when completion mode is Indexed"
        found.append(causes.invalid(f"{field}.parallelism", parallelism, says))
    if completions is not None and failed is not None and failed > completions:
        found.append(causes.invalid(f"{field}.maxFailedIndexes", failed, "must be less than or equal to completions"))
    if failed is not None and failed > _MOST_INDEXES:
        says = f"must be less than or equal to {_MOST_INDEXES}"
        found.append(causes.invalid(f"{field}.maxFailedIndexes", failed, says))
    if completions is not None and completions > _MOST_INDEXES and "backoffLimitPerIndex" in spec:
        if failed is None:
            says = f"must be specified when completions is above {_MOST_INDEXES}"
            found.append(causes.required(f"{field}.maxFailedIndexes", says))
        for name in ("parallelism", "maxFailedIndexes"):
            if spec.get(name, 0) > _MOST_WHEN_MANY:
                says = f"must be less than or equal to {_MOST_WHEN_MANY} {_MANY}"
                found.append(causes.invalid(f"{field}.{name}", spec[name], says))
    return found


def _failure_policy(spec: Object, field: str) -> list[Cause]:
    rules = spec["podFailurePolicy"].get("rules") or ()
    found = [causes.too_many(field, len(rules), _MOST_RULES)] if len(rules) > _MOST_RULES else []
    pod = dig(spec, "template", "spec", default={})
    containers = {one.get("name") for one in planned(pod)}
    for position, rule in enumerate(rules):
        where = f"{field}[{position}]"
        action = rule.get("action") or ""
        if not action:
            found.append(causes.required(f"{where}.action", _valid(_ACTIONS)))
        elif action not in _ACTIONS:
            found.append(causes.not_supported(f"{where}.action", action, _ACTIONS))
        elif action == "FailIndex" and "backoffLimitPerIndex" not in spec:
            says = "requires the backoffLimitPerIndex to be set"
            found.append(causes.invalid(f"{where}.action", action, says))
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            found += _exit_codes(codes, containers, f"{where}.onExitCodes")
        if conditions:
            found += _conditions(conditions, f"{where}.onPodConditions")
        if (codes is not None) == bool(conditions):
            says = (
                "both OnExitCodes and OnPodConditions is not supported"
                if codes is not None
                else ("one of OnExitCodes and OnPodConditions is required")
            )
            found.append(causes.invalid_omitted(where, f"specifying {says}"))
    return found


def _valid(values: tuple[str, ...]) -> str:
    return f"valid values: [{' '.join(map(causes.quoted, values))}]"


def _exit_codes(codes: Object, containers: Collection[Any], field: str) -> list[Cause]:
    found: list[Cause] = []
    operator, values = codes.get("operator") or "", codes.get("values") or []
    if not operator:
        found.append(causes.required(f"{field}.operator", _valid(("In", "NotIn"))))
    elif operator not in ("In", "NotIn"):
        found.append(causes.not_supported(f"{field}.operator", operator, ("In", "NotIn")))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        says = "must be one of the container or initContainer names in the pod template"
        found.append(causes.invalid(f"{field}.containerName", name, says))
    where = f"{field}.values"
    if not values:
        found.append(causes.invalid(where, codes.get("values"), "at least one value is required"))
    elif len(values) > _MOST_EXIT_CODES:
        found.append(causes.too_many(where, len(values), _MOST_EXIT_CODES))
    seen: set[int] = set()
    for position, value in enumerate(values):
        if operator == "In" and value == 0:
            found.append(causes.invalid(f"{where}[{position}]", value, "must not be 0 for the In operator"))
        if value in seen:
            found.append(causes.duplicate(f"{where}[{position}]", value))
        seen.add(value)
    if values != sorted(values):
        found.append(causes.invalid(where, values, "must be ordered"))
    return found


def _conditions(patterns: list[Object], field: str) -> list[Cause]:
    found = [causes.too_many(field, len(patterns), _MOST_RULES)] if len(patterns) > _MOST_RULES else []
    for position, pattern in enumerate(patterns):
        where = f"{field}[{position}]"
        kind, status = pattern.get("type", ""), pattern.get("status") or ""
        found += causes.each(f"{where}.type", kind, names.qualified_name(kind))
        if not status:
            found.append(causes.required(f"{where}.status", _valid(_STATUSES)))
        elif status not in _STATUSES:
            found.append(causes.not_supported(f"{where}.status", status, _STATUSES))
    return found


def _success_policy(spec: Object, field: str) -> list[Cause]:
    rules = spec["successPolicy"].get("rules") or ()
    completions = spec.get("completions", 0)
    if not rules:
        return [causes.required(field, "at least one rules must be specified when the successPolicy is specified")]
    found = [causes.too_many(field, len(rules), _MOST_RULES)] if len(rules) > _MOST_RULES else []
    for position, rule in enumerate(rules):
        where = f"{field}[{position}]"
        indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        if indexes is None and count is None:
            says = "at least one of succeededCount or succeededIndexes must be specified"
            found.append(causes.required(where, says))
        total = 0
        if indexes is not None:
            at = f"{where}.succeededIndexes"
            if len(indexes) > _MOST_INDEXES_CHARS:
                found.append(causes.too_long(at, _MOST_INDEXES_CHARS))
            try:
                total = sum(last - first + 1 for first, last in parse_indexes(indexes, completions))
            except ValueError as bad:
                found.append(causes.invalid(at, indexes, f"error parsing succeededIndexes: {bad}"))
        if count is not None:
            at = f"{where}.succeededCount"
            found += template.not_negative(rule, "succeededCount", field=where)
            for most, of in (
                (completions, "the number of specified completions"),
                (
                    total if indexes is not None else count,
                    "the number of indexes in the specified succeededIndexes field",
                ),
            ):
                if count > most:
                    found.append(causes.invalid(at, count, f"must be less than or equal to {most} ({of})"))
    return found


def template_changes(spec: Object, old: Object) -> list[Cause]:
    """What changed in the template of a job and must not: nothing may, unless it is suspended and none of it runs."""
    before, status = old["spec"], old.get("status") or {}
    fixed, new = before["template"], spec["template"]
    suspended = bool(before.get("suspend"))
    started = "startTime" in status
    if suspended and (not started or is_true(old, "Suspended")) and not status.get("active"):
        fixed = _with_scheduling(fixed, new)
        pod, wanted = _with_resources(fixed.get("spec") or {}, new.get("spec") or {}), new.get("spec")
        return causes.immutable("spec.template.spec", wanted, pod)
    now, was = (golang.inside("PodTemplateSpec", one) for one in (new, fixed))
    return causes.immutable("spec.template", now, was)


def _with_scheduling(old: Object, new: Object) -> Object:
    """The old template with the new one's directives to the scheduler, labels and annotations."""
    meta = {name: value for name, value in (old.get("metadata") or {}).items() if name not in ("labels", "annotations")}
    asked = new.get("metadata") or {}
    meta |= {name: asked[name] for name in ("labels", "annotations") if name in asked}
    changing = ("nodeSelector", "tolerations", "schedulingGates")
    pod = {name: value for name, value in old["spec"].items() if name not in (*changing, "affinity")}
    pod |= {name: new["spec"][name] for name in changing if name in new["spec"]}
    affinity = {name: value for name, value in (old["spec"].get("affinity") or {}).items() if name != "nodeAffinity"}
    if "nodeAffinity" in (new["spec"].get("affinity") or {}):
        affinity["nodeAffinity"] = new["spec"]["affinity"]["nodeAffinity"]
    if affinity or "affinity" in new["spec"]:
        pod["affinity"] = affinity
    return {**old, "metadata": meta, "spec": pod}


def _with_resources(old: Object, new: Object) -> Object:
    """The old pod with the new one's resources, container by container."""
    pod = dict(old)
    for kind in ("containers", "initContainers"):
        ours, theirs = old.get(kind) or [], new.get(kind) or []
        if len(ours) == len(theirs) and ours:
            pod[kind] = [
                {**one, "resources": other.get("resources", {})} if one.get("name") == other.get("name") else one
                for one, other in zip(ours, theirs, strict=True)
            ]
    return pod


def odd(spec: Object, field: str) -> Iterator[str]:
    """What is odd about a job beside its pods. Source: pkg/api/job/warnings.go."""
    is_large = spec.get("completions", 0) > 100_000 and spec.get("parallelism", 0) > 10_000
    if spec.get("completionMode") == "Indexed" and is_large:
        why = "a number of completions higher than 10^5 and a parallelism higher than 10^4"
        then = "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        yield f"{field}: In Indexed Jobs with {why}, {then}"
