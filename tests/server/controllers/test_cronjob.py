"""What a CronJob tells and warns of."""

from __future__ import annotations

import pytest

from pylet.api.errors import Forbidden
from pylet.api.object import Key, Object
from pylet.server.controllers import cronjob
from pylet.server.reconcile.plan import Create, Delete, Emit, Patch
from tests.server.controllers.picture import NOW, controlled_by, obj, view

KEY = Key("default", "c")


def cron_job(**spec: object) -> Object:
    spec = {"schedule": "0 * * * *", "jobTemplate": {"spec": {}}, "suspend": False, **spec}
    return obj("batch/v1", "CronJob", "c", spec=spec)


def job(name: str, owner: Object, **meta: object) -> Object:
    return obj("batch/v1", "Job", name, meta={"ownerReferences": controlled_by(owner), **meta}, spec={})


def told(*objects: Object) -> list[tuple[str, str]]:
    actions = cronjob.plan(KEY, view(*objects), NOW).actions
    return [(each.reason, each.message) for each in actions if isinstance(each, Emit) and each.type == "Warning"]


INVALID = "invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second"
ZONE = 'invalid timeZone: "Mars/Base": unknown time zone Mars/Base'


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"schedule": "0 0 31 2 *"}, [("InvalidSchedule", INVALID)]),
        ({"timeZone": "Mars/Base"}, [("UnknownTimeZone", ZONE)]),
    ],
    ids=["well", "a day that never comes", "a zone nobody knows"],
)
def test_schedules_that_lead_nowhere_are_told_of(spec: Object, expected: list[tuple[str, str]]) -> None:
    assert told(cron_job(**spec)) == expected


def test_a_job_that_somebody_else_made_for_it_is_unexpected() -> None:
    owner = cron_job(suspend=True)
    scheduled = {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T11:00:00Z"}
    own, manual = job("c-1", owner, annotations=scheduled), job("by-hand", owner)
    says = "Saw a job that the controller did not create or forgot: by-hand"
    assert told(owner, own, manual) == [("UnexpectedJob", says)]


def test_what_became_of_its_jobs_is_told_once() -> None:
    owner, done = cron_job(suspend=True), job("c-1", cron_job())
    done["status"] = {"conditions": [{"type": "Complete", "status": "True"}], "completionTime": "2026-01-01T11:30:00Z"}
    owner["status"] = {"active": [{"name": "c-1", "uid": "c-1"}, {"name": "c-0", "uid": "c-0"}]}
    *said, noted = cronjob.plan(KEY, view(owner, done), NOW).actions
    assert [(each.reason, each.message) for each in said if isinstance(each, Emit)] == [
        ("SawCompletedJob", "Saw completed job: c-1, condition: Complete"),
        ("MissingJob", "Active job went missing: c-0"),
    ]
    assert isinstance(noted, Patch)
    assert noted.patch == {"status": {"active": [], "lastSuccessfulTime": "2026-01-01T11:30:00Z"}}


def test_what_is_refused_is_told_of() -> None:
    owner = cron_job(concurrencyPolicy="Replace")
    plan = cronjob.plan(KEY, view(owner, job("c-0", owner)), NOW)
    refusals = {
        each.message
        for action in plan.actions
        if isinstance(action, Create | Delete) and action.refused is not None
        for each in action.refused(Forbidden("batch", "jobs", "x", "no"))
        if isinstance(each, Emit)
    }
    why = 'jobs.batch "x" is forbidden: no'
    assert refusals == {f"Deleted job: {why}", f"Error creating job: {why}"}
