"""CronJob: make a Job each time its schedule fires. Source: upstream `pkg/controller/cronjob/cronjob_controllerv2.go`.

A Job is named after its time, so that a time missed between two writes makes no second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from pylet.aio.prometheus import Histogram, doubling
from pylet.api import cron, timestamps
from pylet.api.errors import ApiError
from pylet.api.kinds.cronjob import KIND as CRON_JOB
from pylet.api.kinds.job import KIND as JOB
from pylet.api.object import Key, Object, annotations_of, dig, is_terminating, key_of, revision_of, uid_of
from pylet.api.podspec.jobstatus import end_of
from pylet.api.podtemplate import owner_reference
from pylet.client.view import View
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Count,
    Create,
    Delete,
    Emit,
    Plan,
    Watch,
    its_controller,
    itself,
    patch_status,
    told_of,
)

_SKEW = Histogram(
    "cronjob_controller_job_creation_skew_duration_seconds", "From the time to its Job.", (), doubling(1, 10)
)
_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_LATE = timedelta(milliseconds=100)  # upstream's nextScheduleDelta: look just after the time, not just before
_MANY_MISSED = 100
_CORRECTION = timedelta(hours=3)  # a clock set back by more was wrong before: cron(8) counts from there on, too


def plan(key: Key, view: View, now: datetime) -> Plan:
    cron_job = view.get(CRON_JOB, key)
    if cron_job is None:
        return NOTHING
    jobs = [job for job in view.owned_by(JOB, uid_of(cron_job)) if not is_terminating(job)]
    status, told = _status(cron_job, jobs)
    actions = [*told, *_forget(cron_job, jobs)]
    again_after = None
    if not is_terminating(cron_job) and not cron_job["spec"].get("suspend"):
        started, again_after = _start(cron_job, jobs, status, view, now)
        actions += started
    return Plan((*actions, *patch_status(CRON_JOB, cron_job, status)), again_after)


def _start(
    cron_job: Object, jobs: Sequence[Object], status: Object, view: View, now: datetime
) -> tuple[list[Action], timedelta | None]:
    """What the schedule asks for now, and how long until it may ask again; notes the time in `status`."""
    spec = cron_job["spec"]
    try:
        zone = cron.zone(spec.get("timeZone") or "UTC")
    except ValueError as wrong:
        words = f'invalid timeZone: "{spec["timeZone"]}": {wrong}'
        return [Emit(cron_job, "UnknownTimeZone", words, "Warning")], None
    try:
        schedule = cron.parse(spec["schedule"], spec.get("timeZone") or "")
    except ValueError as wrong:
        words = f'unparseable schedule: "{spec["schedule"]}" : {wrong}'
        return [Emit(cron_job, "UnparseableSchedule", words, "Warning")], None
    since = timestamps.parse(status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"])
    if since - now > _CORRECTION:
        since, status["lastScheduleTime"] = now, timestamps.format_time(now)
    if "startingDeadlineSeconds" in spec:
        since = max(since, now - timedelta(seconds=spec["startingDeadlineSeconds"]))
    missed = cron.missed(schedule, since, now)
    following = schedule.next(missed.latest or since)
    if missed.latest is None and following is None:
        words = f"invalid schedule: {spec['schedule']} : time difference between two schedules is less than 1 second"
        return [Emit(cron_job, "InvalidSchedule", words, "Warning")], None
    again_after = following - now + _LATE if following is not None else None
    if missed.latest is None:
        return [], again_after
    actions: list[Action] = []
    if missed.times > _MANY_MISSED:
        words = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        actions.append(Emit(cron_job, "TooManyMissedTimes", words, "Warning"))
    active = [job for job in jobs if not _ended(job)]
    if active and spec.get("concurrencyPolicy") == "Forbid":
        words = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return [*actions, Emit(cron_job, "JobAlreadyActive", words)], again_after
    job = _job(cron_job, missed.latest, missed.latest.astimezone(zone))
    status["lastScheduleTime"] = timestamps.format_time(missed.latest)
    if view.get(JOB, key_of(job)) is not None:
        return actions, again_after
    if spec.get("concurrencyPolicy") == "Replace":
        actions += [_delete(cron_job, old) for old in active]
    told = Emit(cron_job, "SuccessfulCreate", "Created job {name}")
    made = Create(JOB, job, told, partial(_refused, cron_job))
    return [*actions, made, Count(_SKEW, value=(now - missed.latest).total_seconds())], again_after


def _job(cron_job: Object, time: datetime, shown: datetime) -> Object:
    meta, template = cron_job["metadata"], cron_job["spec"]["jobTemplate"]
    given = template.get("metadata") or {}
    stamp = shown.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {
            "name": f"{meta['name']}-{int(time.timestamp()) // 60}",
            "namespace": meta["namespace"],
            "labels": dict(given.get("labels") or {}),
            "annotations": {**(given.get("annotations") or {}), _SCHEDULED: stamp},
            "ownerReferences": [owner_reference(cron_job, CRON_JOB)],
        },
        "spec": template["spec"],
    }


def _refused(cron_job: Object, error: ApiError) -> tuple[Action, ...]:
    return (Emit(cron_job, "FailedCreate", f"Error creating job: {error.message}", "Warning"),)


def _status(cron_job: Object, jobs: Sequence[Object]) -> tuple[Object, list[Action]]:
    """The Jobs that run, and when one last succeeded; and what to tell of those that ran before."""
    status: Object = {**(cron_job.get("status") or {})}
    by_uid = {uid_of(job): job for job in jobs}
    told: list[Action] = []
    for reference in status.get("active") or ():
        job = by_uid.get(reference["uid"])
        if job is None:
            told.append(Emit(cron_job, "MissingJob", f"Active job went missing: {reference['name']}"))
        elif end := _ended(job):
            words = f"Saw completed job: {reference['name']}, condition: {end}"
            told.append(Emit(cron_job, "SawCompletedJob", words))
    known = {reference["uid"]: reference for reference in status.get("active") or ()}
    running = sorted((job for job in jobs if not _ended(job)), key=_age)
    for job in running:
        if uid_of(job) not in known and _SCHEDULED not in annotations_of(job):
            words = f"Saw a job that the controller did not create or forgot: {job['metadata']['name']}"
            told.append(Emit(cron_job, "UnexpectedJob", words, "Warning"))
    status["active"] = [known.get(uid_of(job)) or _reference(job) for job in running]
    ends = [dig(job, "status", "completionTime") for job in jobs if _ended(job) == "Complete"]
    latest = max([status.get("lastSuccessfulTime") or "", *(end for end in ends if end)])
    if latest:
        status["lastSuccessfulTime"] = latest
    return status, told


def _reference(job: Object) -> Object:
    meta = job["metadata"]
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "resourceVersion": str(revision_of(job)),
    }


def _forget(cron_job: Object, jobs: Sequence[Object]) -> Iterable[Action]:
    """The oldest finished Jobs beyond what is to be kept."""
    for end, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        finished = sorted((job for job in jobs if _ended(job) == end), key=_age)
        kept = cron_job["spec"].get(limit)
        if kept is not None:
            yield from (_delete(cron_job, job) for job in finished[: max(0, len(finished) - kept)])


def _delete(cron_job: Object, job: Object) -> Action:
    def refused(error: ApiError) -> tuple[Action, ...]:
        return (Emit(cron_job, "FailedDelete", f"Deleted job: {error.message}", "Warning"),)

    told = Emit(cron_job, "SuccessfulDelete", f"Deleted job {job['metadata']['name']}")
    return Delete(JOB, key_of(job), uid_of(job), propagation="Background", told=told, refused=refused)


def _ended(job: Object) -> str:
    """Complete or Failed; empty while it runs."""
    return str((end_of(job) or {}).get("type", ""))


def _age(job: Object) -> tuple[str, str]:
    return dig(job, "status", "startTime", default="9999"), job["metadata"]["name"]


CONTROLLER = Controller(
    "cronjob", (Watch(CRON_JOB, itself), Watch(JOB, its_controller(CRON_JOB))), plan, metrics=told_of(_SKEW)
)
