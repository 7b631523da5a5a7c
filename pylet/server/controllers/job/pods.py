"""Pods as a Job sees them: which index they work on, whether they failed and when; and those it makes.

Source: upstream `pkg/controller/job` (indexed_job_utils.go, backoff_utils.go, job_controller.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pylet.api import timestamps
from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, annotations_of, condition_of, dig, is_terminating, key_of
from pylet.api.podtemplate import pod_of
from pylet.server.controllers.job.policies import judge
from pylet.server.reconcile.plan import Action, Patch

NAME_LABEL = "batch.kubernetes.io/job-name"
FINALIZER = "batch.kubernetes.io/job-tracking"
_INDEX = "batch.kubernetes.io/job-completion-index"
_FAILURES = "batch.kubernetes.io/job-index-failure-count"
_IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
_FIRST, _LONGEST = timedelta(seconds=10), timedelta(minutes=10)  # back-off of failed pods
_NAME_LENGTH = 58  # of a generated name, less its suffix


def is_tracked(pod: Object) -> bool:
    """Whether the pod has not been counted for good yet."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def untrack(pod: Object) -> Action:
    """Let a pod go that was counted; a change of it meanwhile is a conflict."""
    meta = pod["metadata"]
    kept = [name for name in meta["finalizers"] if name != FINALIZER]
    return Patch(POD, key_of(pod), {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": kept}})


def index_of(pod: Object) -> int:
    """The completion index; -1 without one."""
    text = annotations_of(pod).get(_INDEX, "")
    return int(text) if text.isdecimal() else -1


def replaces_only_failed(job: Object) -> bool:
    """Whether a pod that is being deleted counts as failed only once it has ended."""
    return job["spec"].get("podReplacementPolicy") == "Failed" or job["spec"].get("podFailurePolicy") is not None


def has_succeeded(pod: Object) -> bool:
    return bool(dig(pod, "status", "phase") == "Succeeded")


def has_failed(pod: Object, job: Object) -> bool:
    phase = dig(pod, "status", "phase")
    if phase == "Failed":
        return True
    return not replaces_only_failed(job) and is_terminating(pod) and phase != "Succeeded"


def finished_at(pod: Object) -> datetime:
    """When the pod ended, as well as anybody can tell."""
    sidecars = {
        container["name"]
        for container in dig(pod, "spec", "initContainers", default=())
        if container.get("restartPolicy") == "Always"
    }
    statuses = [
        *dig(pod, "status", "containerStatuses", default=()),
        *(s for s in dig(pod, "status", "initContainerStatuses", default=()) if s["name"] in sidecars),
    ]
    ends = [dig(status, "state", "terminated", "finishedAt") for status in statuses]
    if ends and all(ends):
        return max(map(timestamps.parse, ends))
    meta, ready = pod["metadata"], condition_of(pod, "Ready")
    if ready is not None and ready["status"] == "False" and ready.get("lastTransitionTime"):
        return timestamps.parse(ready["lastTransitionTime"])
    if is_terminating(pod):
        grace = timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
        return timestamps.parse(meta["deletionTimestamp"]) - grace
    return timestamps.parse(meta["creationTimestamp"])


def backoff(job: Object, pods: Iterable[Object], now: datetime) -> timedelta:
    """How long the next pod has to wait: by the failures since the last success; what was ended on purpose is none."""
    pods = [pod for pod in pods if is_tracked(pod) or not is_terminating(pod)]
    succeeded = max((finished_at(pod) for pod in pods if has_succeeded(pod)), default=None)
    failures = [finished_at(pod) for pod in pods if has_failed(pod, job)]
    since = [at for at in failures if succeeded is None or at > succeeded]
    return _left(len(since), max(since), now) if since else timedelta()


def index_backoff(pod: Object | None, now: datetime) -> timedelta:
    """How long the index of a failed pod has to wait."""
    return _left(_tries(pod) + 1, finished_at(pod), now) if pod is not None else timedelta()


def _left(failures: int, last: datetime, now: datetime) -> timedelta:
    wait: timedelta = min(_FIRST * 2 ** min(failures - 1, 10), _LONGEST)
    return min(wait, max(timedelta(), last + wait - now))  # also where the time of day was set back since


def latest_failures(pods: Iterable[Object]) -> dict[int, Object]:
    """Of the failed pods of each index the last: the one that knows how often the index failed."""
    found: dict[int, Object] = {}
    for pod in pods:
        index, known = index_of(pod), found.get(index_of(pod))
        if known is None or (_tries(pod), finished_at(pod)) >= (_tries(known), finished_at(known)):
            found[index] = pod
    return found


def index_has_failed(job: Object, pod: Object) -> bool:
    """Whether the failure of this pod is one too many for its index."""
    if not has_failed(pod, job):
        return False
    verdict = judge(job, pod)
    return verdict.fails_index or (verdict.counts and _count(pod, _FAILURES) >= job["spec"]["backoffLimitPerIndex"])


def pod_for(job: Object, index: int = -1, replaced: Object | None = None) -> Object:
    """A pod of the Job, for an index if it has them; `replaced` failed at the same."""
    made = pod_of(job["spec"]["template"], job, JOB)
    meta = made["metadata"]
    meta["finalizers"] = [*(name for name in meta.get("finalizers") or () if name != FINALIZER), FINALIZER]
    if index < 0:
        return made
    ending = f"-{index}-"
    meta["generateName"] = job["metadata"]["name"][: _NAME_LENGTH - len(ending)] + ending
    meta["labels"] = {**(meta.get("labels") or {}), _INDEX: str(index)}
    meta["annotations"] = {**(meta.get("annotations") or {}), _INDEX: str(index)}
    if job["spec"].get("backoffLimitPerIndex") is not None:
        meta["annotations"] |= _failure_counts(job, replaced)
    spec = made["spec"]
    made["spec"] = {
        **spec,
        "hostname": f"{job['metadata']['name']}-{index}",
        **{field: _with_index(spec[field]) for field in ("initContainers", "containers") if spec.get(field)},
    }
    return made


def _with_index(containers: Sequence[Object]) -> list[Object]:
    source = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{_INDEX}']"}}}
    return [
        container
        if any(env["name"] == source["name"] for env in container.get("env") or ())
        else {**container, "env": [*(container.get("env") or ()), source]}
        for container in containers
    ]


def _failure_counts(job: Object, replaced: Object | None) -> dict[str, str]:
    if replaced is None:
        return {_FAILURES: "0"}
    counts = judge(job, replaced).counts
    failures, ignored = _count(replaced, _FAILURES) + counts, _count(replaced, _IGNORED) + (not counts)
    return {_FAILURES: str(failures)} | ({_IGNORED: str(ignored)} if ignored else {})


def _tries(pod: Object) -> int:
    return _count(pod, _FAILURES) + _count(pod, _IGNORED)


def _count(pod: Object, annotation: str) -> int:
    text = annotations_of(pod).get(annotation, "")
    return int(text) if text.isdecimal() else 0
