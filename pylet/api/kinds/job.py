"""Jobs. Source: pkg/apis/batch/validation/validation.go, pkg/registry/batch/job/strategy.go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, golang, names, selector, timestamps
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind
from pylet.api.object import Object, dig, is_terminating, is_true
from pylet.api.podspec import jobspec, jobstatus, template

_NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
_UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
_IMMUTABLE = ("completionMode", "backoffLimitPerIndex", "managedBy")
_IMMUTABLE_STRUCTS = {
    "selector": "LabelSelector",
    "podFailurePolicy": "PodFailurePolicy",
    "successPolicy": "SuccessPolicy",
}
_STATES = (
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


class JobStrategy(template.TemplateStrategy):
    has_status = True

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        if not obj["spec"].get("manualSelector"):
            _generate_selector(obj)
        labels = template.labels_of(obj["spec"]["template"])
        if labels and not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = _generated_selector(obj)
        found += jobspec.validate(obj["spec"], "spec")
        found += _selector(obj["spec"])
        return [*found, *_longest_hostname(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return jobstatus.validate_update(obj, old)
        spec, before = obj["spec"], old["spec"]
        if spec == before:
            return ()
        found = [*self.validate(obj), *_completions(spec, before)]
        found += jobspec.template_changes(spec, old)
        for name, struct in _IMMUTABLE_STRUCTS.items():
            found += golang.immutable(f"spec.{name}", struct, spec.get(name), before.get(name))
        for name in _IMMUTABLE:
            found += causes.immutable(f"spec.{name}", spec.get(name), before.get(name))
        return found

    def odd(self, obj: Object) -> Sequence[str]:
        return [*jobspec.odd(obj["spec"], "spec"), *super().odd(obj)]


def _generate_selector(job: Object) -> None:
    """Labels and a selector that no other job can have, unless the user wrote some: those are judged later."""
    name, uid = job["metadata"].get("name", ""), job["metadata"].get("uid", "")
    labels = job["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
    for label in _NAME_LABELS:
        labels.setdefault(label, name)
    for label in _UID_LABELS:
        labels.setdefault(label, uid)
    chosen = job["spec"].setdefault("selector", {})
    chosen.setdefault("matchLabels", {}).setdefault(_UID_LABELS[1], uid)


def _generated_selector(job: Object) -> list[Cause]:
    spec = job["spec"]
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    found: list[Cause] = []
    where = "spec.template.metadata"
    labels = template.labels_of(spec["template"])
    name, uid = job["metadata"].get("name", ""), job["metadata"].get("uid", "")
    expected = {"controller-uid": uid, "job-name": name}
    expected |= {_UID_LABELS[1]: uid, _NAME_LABELS[1]: name}
    for label, value in expected.items():
        if label not in labels:
            found.append(causes.required(f"{where}.labels[{label}]", f"must be '{value}'"))
        elif labels[label] != value:
            found.append(causes.invalid(f"{where}.labels[{label}]", labels, f"must be '{value}'"))
    try:
        fits = selector.from_object(spec["selector"])(expected)
    except (ValueError, KeyError):
        return found
    if not fits:
        found.append(causes.invalid("spec.selector", spec["selector"], "`selector` not auto-generated"))
    return found


def _selector(spec: Object) -> list[Cause]:
    chosen = spec.get("selector")
    found = [causes.required("spec.selector")] if chosen is None else selector.validate_object(chosen, "spec.selector")
    labels = template.labels_of(spec["template"])
    try:
        fits = selector.from_object(chosen)(labels)
    except (ValueError, KeyError):
        return found
    if not fits:
        says = "`selector` does not match template `labels`"
        shown = dig(spec, "template", "metadata", "labels")
        found.append(causes.invalid("spec.template.metadata.labels", shown, says))
    return found


def _longest_hostname(job: Object) -> list[Cause]:
    """An indexed job's pods are called by its name and their index."""
    spec, name = job["spec"], job["metadata"].get("name", "")
    if spec.get("completionMode") != "Indexed" or spec.get("completions", 0) <= 0:
        return []
    hostname = f"{name}-{spec['completions'] - 1}"
    if not names.dns_label(hostname):
        return []
    says = f"will not able to create pod with invalid DNS label: {hostname}"
    return [causes.invalid("metadata.name", name, says)]


def _completions(spec: Object, old: Object) -> list[Cause]:
    completions = spec.get("completions")
    if spec.get("completionMode") != "Indexed":
        return causes.immutable("spec.completions", completions, old.get("completions"))
    if completions in (None, old.get("completions"), spec.get("parallelism")):
        return []
    return [causes.invalid("spec.completions", completions, "can only be modified in tandem with spec.parallelism")]


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    started, completed = status.get("startTime"), status.get("completionTime")
    until = timestamps.parse(completed) if completed else now
    return [
        obj["metadata"]["name"],
        _state(obj),
        _progress(spec, status.get("succeeded", 0)),
        columns.since(started, until) if started else "",
        columns.age(obj, now),
        *columns.template_cells(spec),
    ]


def _state(job: Object) -> str:
    for condition, state in _STATES:
        if is_true(job, condition) if condition else is_terminating(job):
            return state
    return "Running"


def _progress(spec: Object, succeeded: int) -> str:
    if "completions" in spec:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


KIND = Kind(
    group="batch",
    version="v1",
    name="Job",
    plural="jobs",
    definition="io.k8s.api.batch.v1.Job",
    categories=("all",),
    subresources=("status",),
    strategy=JobStrategy(),
    columns=(
        columns.NAME,
        Column("Status", description="What has become of the job."),
        Column("Completions", description="How many pods succeeded of how many that should."),
        Column("Duration", description="How long the job took, or has run."),
        columns.AGE,
        columns.CONTAINERS,
        columns.IMAGES,
        columns.SELECTOR,
    ),
    cells=_cells,
    fields={"status.successful": lambda obj: str((obj.get("status") or {}).get("succeeded", 0))},
)
