"""What is counted of Jobs: looks at them, their ends, and those of their pods and indexes.

Source: upstream `pkg/controller/job/metrics`, and who counts there.
"""

from __future__ import annotations

from collections import Counter as Amounts
from collections.abc import Iterable, Iterator, Sequence

from pylet.aio.prometheus import Counter, Histogram, doubling
from pylet.api.indexes import Indexes
from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from pylet.api.podspec.jobstatus import end_of
from pylet.client.view import View
from pylet.server.controllers.job.policies import is_managed_by_others, judge
from pylet.server.controllers.job.round import Round
from pylet.server.reconcile.plan import Action, Count, Create, Delete, Patch, Synced, told_of

_PREFIX = "job_controller_"
_OF_LOOK = ("completion_mode", "result", "action")
_LOOKS = Counter(f"{_PREFIX}job_syncs_total", "Looks at Jobs.", _OF_LOOK)
_SECONDS = Histogram(f"{_PREFIX}job_sync_duration_seconds", "Looking.", _OF_LOOK, doubling(0.004, 15))
_JOBS = Counter(f"{_PREFIX}jobs_finished_total", "Jobs that ended.", ("completion_mode", "result", "reason"))
_PODS = Counter(f"{_PREFIX}job_pods_finished_total", "Pods counted for good.", ("completion_mode", "result"))
_INDEXES = Counter(f"{_PREFIX}job_finished_indexes_total", "Indexes that ended.", ("status", "backoffLimit"))
_MADE = Counter(f"{_PREFIX}job_pods_creation_total", "Pods by what they were for.", ("reason", "status"))
_HANDLED = Counter(
    f"{_PREFIX}pod_failures_handled_by_failure_policy_total", "Failed pods that a rule was for.", ("action",)
)
lines = told_of(_LOOKS, _SECONDS, _JOBS, _PODS, _INDEXES, _MADE, _HANDLED)
_SUCCEEDED, _FAILED = "succeeded", "failed"
_RESULTS = {"Complete": _SUCCEEDED, "Failed": _FAILED}


def counts(look: Round, status: Object) -> Iterator[Count]:
    """What `status` says that the Job's did not say before."""
    before, mode = look.job.get("status") or {}, _mode(look.job)
    succeeded = status.get(_SUCCEEDED, 0) - before.get(_SUCCEEDED, 0)
    if look.is_indexed:
        limit = "perIndex" if look.fails_by_index else "global"
        succeeded = _more(look, before, status, "completedIndexes")
        yield from _some(_INDEXES, succeeded, _SUCCEEDED, limit)
        yield from _some(_INDEXES, _more(look, before, status, "failedIndexes"), _FAILED, limit)
    yield from _some(_PODS, succeeded, mode, _SUCCEEDED)
    yield from _some(_PODS, status.get(_FAILED, 0) - before.get(_FAILED, 0), mode, _FAILED)
    if (end := end_of({"status": status})) is not None:
        yield Count(_JOBS, (mode, _RESULTS[end["type"]], end["reason"]))


def handled(look: Round, pods: Iterable[Object]) -> Iterator[Count]:
    """By the Job's failure policy, of pods that are counted now."""
    for action, number in Amounts(judge(look.job, pod).action for pod in pods).items():
        if action:
            yield Count(_HANDLED, (action,), number)


def made(look: Round, number: int) -> Iterator[Count]:
    yield from _some(_MADE, number, _made_for(look), _SUCCEEDED)


def refused(look: Round) -> Count:
    return Count(_MADE, (_made_for(look), _FAILED))


def synced(done: Synced, view: View) -> None:
    """Jobs that others manage, or that had ended before, are not looked at."""
    job = view.get(JOB, done.key)
    if job is None or is_managed_by_others(job):
        return
    if end_of(job) is None or any(isinstance(action, Patch) and action.kind is JOB for action in done.actions):
        labels = _mode(job), "success" if done.failed is None else "error", _did(done.actions)
        _LOOKS.add(*labels)
        _SECONDS.observe(done.seconds, *labels)


def _mode(job: Object) -> str:
    return str(job["spec"].get("completionMode") or "NonIndexed")


def _more(look: Round, before: Object, status: Object, field: str) -> int:
    old, new = (Indexes.parse(of.get(field) or "", look.spec["completions"]) for of in (before, status))
    return len(new) - len(old)


def _some(metric: Counter, number: int, *labels: str) -> Iterator[Count]:
    if number > 0:
        yield Count(metric, labels, number)


def _made_for(look: Round) -> str:
    if look.spec.get("podReplacementPolicy") == "Failed" and look.failed:
        return "recreate_failed"
    return "recreate_terminating_or_failed" if look.failed or look.terminating else "new"


def _did(actions: Sequence[Action]) -> str:
    if any(isinstance(action, Delete) for action in actions):
        return "pods_deleted"
    if any(isinstance(action, Create) and action.kind is POD for action in actions):
        return "pods_created"
    return "tracking"
