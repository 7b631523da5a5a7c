"""CronJobs. Source: pkg/apis/batch/validation/validation.go, pkg/registry/batch/cronjob/strategy.go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, cron, golang
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind
from pylet.api.object import Object, dig
from pylet.api.podspec import jobspec, template

_POLICIES = ("Allow", "Forbid", "Replace")
_LONGEST_NAME = 52  # the controller appends eleven characters, and the name of a Job has 63
_ZONE_PART = re.compile(r"(?!-)(?!\.{1,2}$)[A-Za-z.\-_0-9+]{1,14}")


class CronJobStrategy(template.TemplateStrategy):
    template_field = "spec.jobTemplate.spec.template"
    has_status = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = _spec(obj["spec"], {})
        name = obj["metadata"].get("name", "")
        if len(name) > _LONGEST_NAME:
            found.append(causes.invalid("metadata.name", name, f"must be no more than {_LONGEST_NAME} characters"))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status" or obj["spec"] == old["spec"]:
            return ()
        return _spec(obj["spec"], old["spec"])

    def odd(self, obj: Object) -> Sequence[str]:
        job = obj["spec"].get("jobTemplate", {}).get("spec") or {}
        return [*jobspec.odd(job, "spec.jobTemplate.spec"), *super().odd(obj)]


def _spec(spec: Object, old: Object) -> list[Cause]:
    """`old` is empty for a new CronJob."""
    found = _schedule(spec, old)
    found += template.not_negative(spec, "startingDeadlineSeconds")
    zone = spec.get("timeZone")
    if zone is not None and zone != old.get("timeZone"):
        found += _time_zone(zone)
    policy = spec.get("concurrencyPolicy") or ""
    if not policy:
        found.append(causes.required("spec.concurrencyPolicy"))
    elif policy not in _POLICIES:
        found.append(causes.not_supported("spec.concurrencyPolicy", policy, _POLICIES))
    job = spec["jobTemplate"]["spec"]
    where = "spec.jobTemplate.spec"
    found += jobspec.validate(job, where)
    if "selector" in job:
        shown = golang.shown("LabelSelector", job["selector"])
        found.append(causes.invalid(f"{where}.selector", shown, "`selector` will be auto-generated"))
    if job.get("manualSelector"):
        found.append(causes.not_supported(f"{where}.manualSelector", True, ("nil", "false")))
    return [*found, *template.not_negative(spec, "successfulJobsHistoryLimit", "failedJobsHistoryLimit")]


def _schedule(spec: Object, old: Object) -> list[Cause]:
    schedule, where = spec.get("schedule") or "", "spec.schedule"
    if not schedule:
        return [causes.required(where)]
    found: list[Cause] = []
    try:
        cron.parse(schedule)
    except ValueError as bad:
        found.append(causes.invalid(where, schedule, str(bad)))
    if "TZ" in schedule:
        if "TZ" not in old.get("schedule", ""):
            says = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            found.append(causes.invalid(where, schedule, says))
        elif "timeZone" in spec:
            says = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            found.append(causes.invalid(where, schedule, says))
    return found


def _time_zone(zone: str) -> list[Cause]:
    where = "spec.timeZone"
    if not zone:
        return [causes.invalid(where, zone, "timeZone must be nil or non-empty string")]
    if not all(map(_ZONE_PART.fullmatch, zone.split("/"))):
        return [causes.invalid(where, zone, f"unknown time zone {zone}")]
    if zone.lower() == "local":
        says = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [causes.invalid(where, zone, says)]
    try:
        cron.zone(zone)
    except ValueError as bad:
        return [causes.invalid(where, zone, str(bad))]
    return []


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    last = status.get("lastScheduleTime")
    suspend = spec.get("suspend")
    return [
        obj["metadata"]["name"],
        spec.get("schedule", ""),
        spec.get("timeZone", "<none>"),
        "<unset>" if suspend is None else str(suspend),
        len(status.get("active") or ()),
        columns.since(last, now) if last else "<none>",
        columns.age(obj, now),
        *columns.template_cells(dig(spec, "jobTemplate", "spec")),
    ]


KIND = Kind(
    group="batch",
    version="v1",
    name="CronJob",
    plural="cronjobs",
    definition="io.k8s.api.batch.v1.CronJob",
    short_names=("cj",),
    categories=("all",),
    subresources=("status",),
    strategy=CronJobStrategy(),
    columns=(
        columns.NAME,
        Column("Schedule", description="When jobs are started, as cron writes it."),
        Column("Timezone", description="The time zone of the schedule."),
        Column("Suspend", "boolean", description="Whether no further jobs are started."),
        Column("Active", "integer", description="How many jobs run."),
        Column("Last Schedule", description="How long ago a job was last started."),
        columns.AGE,
        columns.CONTAINERS,
        columns.IMAGES,
        columns.SELECTOR,
    ),
    cells=_cells,
)
