"""Which changes of a Job's status make sense; a rule holds for what changed, so that a bad old status can be mended.

Source: batch validation.go, ValidateJobStatusUpdate; registry/batch/job/strategy.go, getStatusValidationOptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pylet.api import causes
from pylet.api.errors import Cause
from pylet.api.indexes import parse_indexes
from pylet.api.object import Object, condition_of, is_true
from pylet.api.podspec import template

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_CONDITIONS = "status.conditions"
_UNCOUNTED = "status.uncountedTerminatedPods"


def end_of(job: Object) -> Object | None:
    """The condition that says that the Job is complete or has failed."""
    return next((condition_of(job, end) for end in ("Complete", "Failed") if is_true(job, end)), None)


def validate_update(job: Object, old: Object) -> list[Cause]:
    status = job.get("status") or {}
    found = template.not_negative(status, *_COUNTS, field="status")
    found += _uncounted(status.get("uncountedTerminatedPods") or {})
    found += [causes.invalid_omitted(_CONDITIONS, says) for says in _condition_problems(job, old)]
    found += _times(job, old)
    found += _indexes(job, old)
    found += _finished(job, old)
    found += _counters(job, old)
    return found


def _changed(job: Object, old: Object, *fields: str) -> bool:
    status, before = job.get("status") or {}, old.get("status") or {}
    return any(status.get(name) != before.get(name) for name in fields)


def _turned(job: Object, old: Object, *conditions: str) -> bool:
    return any(is_true(job, name) != is_true(old, name) for name in conditions)


def _condition_problems(job: Object, old: Object) -> Iterator[str]:
    complete, failed = is_true(job, "Complete"), is_true(job, "Failed")
    met, target = is_true(job, "SuccessCriteriaMet"), is_true(job, "FailureTarget")
    if complete and failed and _turned(job, old, "Complete", "Failed"):
        yield "cannot set Complete=True and Failed=true conditions"
    if complete and target and _turned(job, old, "Complete", "FailureTarget"):
        yield "cannot set Complete=True and FailureTarget=true conditions"
    if failed and not target and (_turned(job, old, "Failed") or _changed(job, old, "failedIndexes")):
        yield "cannot set Failed=True condition without the FailureTarget=true condition"
    if complete and not met and _turned(job, old, "Complete", "SuccessCriteriaMet"):
        yield "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
    if met and failed:
        yield "cannot set SuccessCriteriaMet=True and Failed=true conditions"
    if met and target:
        yield "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"
    if "successPolicy" in job["spec"] and complete and not met:
        yield "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
    for name in ("Failed", "Complete", "FailureTarget"):
        if is_true(old, name) and not is_true(job, name):
            yield f"cannot disable the terminal {name}=True condition"
    if is_true(old, "SuccessCriteriaMet") and not met:
        yield "cannot disable the SuccessCriteriaMet=True condition"
    if is_true(old, "Complete") and not is_true(old, "SuccessCriteriaMet") and met:
        yield "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"


def _uncounted(pods: Object) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for outcome in ("succeeded", "failed"):
        for position, uid in enumerate(pods.get(outcome) or ()):
            where = f"{_UNCOUNTED}.{outcome}[{position}]"
            if not uid:
                found.append(causes.invalid(where, uid, "must not be empty"))
            elif uid in seen:
                found.append(causes.duplicate(where, uid))
            seen.add(uid)
    return found


def _times(job: Object, old: Object) -> list[Cause]:
    found: list[Cause] = []
    status, before = job.get("status") or {}, old.get("status") or {}
    started, completed = status.get("startTime"), status.get("completionTime")
    where = "status.completionTime"
    if _turned(job, old, "Complete") or _changed(job, old, "completionTime"):
        if completed is not None and not is_true(job, "Complete"):
            says = "cannot set completionTime when there is no Complete=True condition"
            found.append(causes.invalid(where, completed, says))
        if completed is None and is_true(job, "Complete"):
            found.append(causes.required(where, "completionTime is required for Complete jobs"))
    if _changed(job, old, "startTime", "completionTime") and started and completed and completed < started:
        found.append(causes.invalid(where, completed, "must be equal to or after `startTime`"))
    done = before.get("completionTime")
    if completed is not None and done is not None:
        found += causes.immutable(where, completed, done)
    began = before.get("startTime")
    suspension = condition_of(job, "Suspended")
    resumes = is_true(old, "Suspended") and suspension is not None and suspension.get("status") == "False"
    if began is not None and began != started and not resumes and not job["spec"].get("suspend"):
        found.append(causes.invalid("status.startTime", started, "field is immutable for unsuspended job once set"))
    return found


def _indexes(job: Object, old: Object) -> list[Cause]:
    found: list[Cause] = []
    spec, status = job["spec"], job.get("status") or {}
    intervals: dict[str, list[tuple[int, int]]] = {}
    for name in ("completedIndexes", "failedIndexes"):
        text = status.get(name)
        if text is None or not _changed(job, old, "completedIndexes", "failedIndexes"):
            continue
        where = f"status.{name}"
        try:
            if "completions" in spec:
                intervals[name] = parse_indexes(text, spec["completions"])
        except ValueError as bad:
            found.append(causes.invalid(where, text, f"error parsing {name}: {bad}"))
    completed, failed = status.get("completedIndexes"), status.get("failedIndexes")
    if completed and _changed(job, old, "completedIndexes") and spec.get("completionMode") != "Indexed":
        says = "cannot set non-empty completedIndexes when non-indexed completion mode"
        found.append(causes.invalid("status.completedIndexes", completed, says))
    if failed is not None and _changed(job, old, "failedIndexes") and "backoffLimitPerIndex" not in spec:
        says = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        found.append(causes.invalid("status.failedIndexes", failed, says))
    both = _shared(intervals.get("completedIndexes", []), intervals.get("failedIndexes", []))
    if both is not None:
        says = f"failedIndexes and completedIndexes overlap at index: {both}"
        found.append(causes.invalid("status.failedIndexes", failed, says))
    return found


def _shared(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> int | None:
    """The first index in both."""
    for first, last in one:
        for start, end in other:
            if start <= last and first <= end:
                return max(first, start)
    return None


def _finished(job: Object, old: Object) -> list[Cause]:
    if end_of(job) is None:
        return []
    found: list[Cause] = []
    spec, status = job["spec"], job.get("status") or {}
    turned = end_of(old) is None
    for name in ("active", "terminating"):
        if status.get(name, 0) > 0 and (turned or _changed(job, old, name)):
            found.append(causes.invalid(f"status.{name}", status[name], f"{name}>0 is invalid for finished job"))
    skipped = bool(spec.get("suspend")) and spec.get("completions") == 0
    if "startTime" not in status and (turned or _changed(job, old, "startTime")) and not skipped:
        found.append(causes.required("status.startTime", "startTime is required for finished job"))
    uncounted: Any = status.get("uncountedTerminatedPods") or {}
    if (turned or _changed(job, old, "uncountedTerminatedPods")) and any(uncounted.values()):
        says = "uncountedTerminatedPods needs to be empty for finished job"
        found.append(causes.invalid(_UNCOUNTED, uncounted, says))
    return found


def _counters(job: Object, old: Object) -> list[Cause]:
    found: list[Cause] = []
    spec, status, before = job["spec"], job.get("status") or {}, old.get("status") or {}
    if "ready" in status and status["ready"] > status.get("active", 0) and _changed(job, old, "ready", "active"):
        found.append(causes.invalid("status.ready", status["ready"], "cannot set more ready pods than active"))
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for name in ("failed",) if elastic else ("failed", "succeeded"):
        count = status.get(name, 0)
        if count < before.get(name, 0):
            found.append(causes.invalid(f"status.{name}", count, f"cannot decrease the {name} counter"))
    return found
