"""Jobs that ask for it are deleted a while after they finished. Source: upstream `pkg/controller/ttlafterfinished`."""

from __future__ import annotations

from datetime import datetime, timedelta

from pylet.aio.prometheus import Histogram, doubling
from pylet.api import timestamps
from pylet.api.kinds.job import KIND as JOB
from pylet.api.object import Key, is_terminating, uid_of
from pylet.api.podspec.jobstatus import end_of
from pylet.client.view import View
from pylet.server.reconcile.plan import NOTHING, Controller, Count, Delete, Plan, Watch, itself, told_of

_LATE = Histogram(
    "ttl_after_finished_controller_job_deletion_duration_seconds", "Since they might go.", (), doubling(0.1, 14)
)


def plan(key: Key, view: View, now: datetime) -> Plan:
    job = view.get(JOB, key)
    if job is None or is_terminating(job) or (ttl := job["spec"].get("ttlSecondsAfterFinished")) is None:
        return NOTHING
    end = end_of(job)
    if end is None:
        return NOTHING
    left = timestamps.parse(end["lastTransitionTime"]) + timedelta(seconds=ttl) - now
    if left > timedelta():
        return Plan(again_after=left)
    late = Count(_LATE, value=-left.total_seconds())
    return Plan((Delete(JOB, key, uid_of(job), propagation="Foreground"), late))


CONTROLLER = Controller("ttl-after-finished", (Watch(JOB, itself),), plan, metrics=told_of(_LATE))
