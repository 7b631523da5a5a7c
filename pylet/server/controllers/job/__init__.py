"""Job: run pods until so many have succeeded, and count each of them exactly once.

A pod that ended bears a finalizer until it is counted. First its uid is noted in the status as not counted yet, then
the finalizer goes, and only then, in one write, the uid makes room for a larger number: whatever is interrupted is
taken up where it was left.
Source: upstream `pkg/controller/job/job_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from pylet.api import timestamps
from pylet.api.errors import ApiError
from pylet.api.indexes import Indexes
from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, dig, is_terminating, is_true, key_of, uid_of
from pylet.api.podspec.jobstatus import end_of
from pylet.api.podtemplate import is_active, is_finished, is_ready
from pylet.client.view import Entry, View
from pylet.server.controllers.job import pods as of_job
from pylet.server.controllers.job.policies import judge, success_rule
from pylet.server.reconcile.deletion import delete_pod
from pylet.server.reconcile.leaving import least_missed
from pylet.server.reconcile.ownership import claim, of_pod
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Create,
    Emit,
    Plan,
    Watch,
    itself,
    patch_status,
    soonest,
)

_BURST = 500  # upstream's MaxPodCreateDeletePerSync, MaxUncountedPods
_OURS = "kubernetes.io/job-controller"


class _Round:
    """One look at a Job: what its pods come to, and the status being made of it."""

    def __init__(self, job: Object, pods: Sequence[Object], now: datetime) -> None:
        self.job, self.spec, self.now = job, job["spec"], now
        self.pods = sorted(pods, key=of_job.index_of) if self.is_indexed else list(pods)
        self.status: Object = {**(job.get("status") or {})}
        self.active = [pod for pod in pods if is_active(pod)]
        self.terminating = [pod for pod in pods if is_terminating(pod) and not is_finished(pod)]
        self.succeeded_indexes = self._indexes("completedIndexes")
        self.failed_indexes = self._indexes("failedIndexes")
        self.again_after: timedelta | None = None
        self.told: list[Action] = []

    @property
    def is_indexed(self) -> bool:
        return bool(self.spec.get("completionMode") == "Indexed")

    @property
    def is_suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    @property
    def fails_by_index(self) -> bool:
        return self.spec.get("backoffLimitPerIndex") is not None

    def uncounted(self, what: str) -> list[str]:
        return list(dig(self.status, "uncountedTerminatedPods", what, default=()))

    def tracked(self) -> list[Object]:
        """Pods not counted for good, those beyond the number of completions left out."""
        return [pod for pod in self.pods if of_job.is_tracked(pod) and self.has_index(pod)]

    def has_index(self, pod: Object) -> bool:
        return not self.is_indexed or 0 <= of_job.index_of(pod) < self.spec["completions"]

    def _indexes(self, field: str) -> Indexes:
        return Indexes.parse(self.status.get(field) or "", self.spec.get("completions") or 0)

    @property
    def succeeded(self) -> int:
        if self.is_indexed:
            return len(self.succeeded_indexes)
        known = self.uncounted("succeeded")
        new = [pod for pod in self.tracked() if of_job.has_succeeded(pod) and uid_of(pod) not in known]
        return int(self.status.get("succeeded", 0)) + len(known) + len(new)

    @property
    def failed(self) -> int:
        known = self.uncounted("failed")
        new = [
            pod
            for pod in self.tracked()
            if of_job.has_failed(pod, self.job) and uid_of(pod) not in known and judge(self.job, pod).counts
        ]
        return int(self.status.get("failed", 0)) + len(known) + len(new)

    def condition(self, type_: str, status: str, reason: str, message: str) -> Object:
        stamp = timestamps.format_time(self.now)
        times = {"lastProbeTime": stamp, "lastTransitionTime": stamp}
        return {"type": type_, "status": status, "reason": reason, "message": message, **times}

    def set_condition(self, condition: Object) -> bool:
        """Whether that was news; a False that never was True is none."""
        current = condition_of({"status": self.status}, condition["type"])
        same = current is not None and all(current.get(f) == condition[f] for f in ("status", "reason", "message"))
        if same or (current is None and condition["status"] == "False"):
            return False
        others = [other for other in self.status.get("conditions") or () if other is not current]
        self.status["conditions"] = [*others, condition]
        return True


def plan(key: Key, view: View, now: datetime) -> Plan:
    job = view.get(JOB, key)
    if job is None:
        return Plan(_let_go(key, view))
    if job["spec"].get("managedBy") not in (None, _OURS):
        return NOTHING
    if end_of(job) is not None:
        return Plan(tuple(of_job.untrack(p) for p in view.owned_by(POD, uid_of(job)) if of_job.is_tracked(p)))
    owned, claims = claim(job, JOB, view, finalizer=of_job.FINALIZER)
    pods = [entry.object for entry in owned]
    if claims:
        return Plan(claims)
    look = _Round(job, pods, now)
    if not look.status.get("startTime") and not look.is_suspended:
        look.status["startTime"] = timestamps.format_time(now)
    _count_what_was_let_go(look)
    _note_indexes(look)
    end = _end(look)
    if end is not None:
        changes: tuple[Action, ...] = tuple(delete_pod(key_of(pod), uid_of(pod), look.job) for pod in look.active)
    else:
        changes = () if is_terminating(job) else tuple(_manage(look))
        if not changes and _is_complete(look):
            end = look.condition(
                "SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods"
            )
        elif not is_terminating(job):
            _note_suspension(look)
    counted = _note_uncounted(look, end)
    if end is not None:
        _enact(look, end, is_last=not counted and not look.active)
    status = look.status | {
        "active": len(look.active),
        "ready": sum(map(is_ready, look.active)),
        "terminating": len(look.terminating),
    }
    return Plan((*patch_status(JOB, job, status), *counted, *changes, *look.told), look.again_after)


# ---- counting


def _count_what_was_let_go(look: _Round) -> None:
    """Uids whose pods bear no finalizer any more become numbers."""
    tracked = {uid_of(pod) for pod in look.pods if of_job.is_tracked(pod)}
    kept: Object = {}
    for what in ("succeeded", "failed"):
        known = look.uncounted(what)
        kept[what] = [uid for uid in known if uid in tracked]
        if not (look.is_indexed and what == "succeeded"):
            look.status[what] = look.status.get(what, 0) + len(known) - len(kept[what])
    look.status["uncountedTerminatedPods"] = {what: uids for what, uids in kept.items() if uids}


def _note_indexes(look: _Round) -> None:
    """Indexes are a set, so that nothing is counted twice anyway."""
    if not look.is_indexed:
        return
    tracked = look.tracked()
    look.succeeded_indexes |= {of_job.index_of(pod) for pod in tracked if of_job.has_succeeded(pod)}
    look.status |= {"completedIndexes": str(look.succeeded_indexes), "succeeded": len(look.succeeded_indexes)}
    if look.fails_by_index:
        failed = {of_job.index_of(pod) for pod in tracked if of_job.index_has_failed(look.job, pod)}
        look.failed_indexes |= failed
        look.status["failedIndexes"] = str(look.failed_indexes)


def _note_uncounted(look: _Round, end: Object | None) -> tuple[Action, ...]:
    """Note the uids of pods that ended, and let these go."""
    noted = {what: look.uncounted(what) for what in ("succeeded", "failed")}
    ended = list(islice(_ended(look, is_over=end is not None or is_terminating(look.job)), _BURST))
    ends_badly = end is not None and end["type"] != "SuccessCriteriaMet"
    for pod in ended:
        what, uid = _counts_as(look, pod, ends_badly=ends_badly), uid_of(pod)
        if what and uid not in noted["failed"] and uid not in noted["succeeded"]:
            noted[what].append(uid)
    look.status["uncountedTerminatedPods"] = {what: uids for what, uids in noted.items() if uids}
    return tuple(map(of_job.untrack, ended))


def _ended(look: _Round, *, is_over: bool) -> Iterator[Object]:
    """Tracked pods that are to be let go: all where the Job is over."""
    waiting = _waiting_failures(look) if look.fails_by_index and not is_over else {}
    for pod in filter(of_job.is_tracked, look.pods):
        failed = of_job.has_failed(pod, look.job)
        if failed and waiting.get(of_job.index_of(pod)) is pod:
            continue  # its successor must still read from it how often the index failed
        if is_over or failed or of_job.has_succeeded(pod):
            yield pod


def _counts_as(look: _Round, pod: Object, *, ends_badly: bool) -> str:
    """succeeded, failed, or "" for what is not to be noted."""
    if of_job.has_succeeded(pod):
        return "" if look.is_indexed else "succeeded"
    failed = ends_badly or of_job.has_failed(pod, look.job)
    return "failed" if failed and look.has_index(pod) and judge(look.job, pod).counts else ""


def _waiting_failures(look: _Round) -> dict[int, Object]:
    """The last failed pod of each index that is going to be tried again."""
    active = {of_job.index_of(pod) for pod in look.active}
    return of_job.latest_failures(
        pod
        for pod in look.tracked()
        if of_job.has_failed(pod, look.job)
        and (index := of_job.index_of(pod)) not in active
        and index not in look.succeeded_indexes
        and index not in look.failed_indexes
    )


# ---- when it ends


def _end(look: _Round) -> Object | None:
    """The condition that ends the Job: one it has already, or one that has come true."""
    job, spec = look.job, look.spec
    for type_ in ("SuccessCriteriaMet", "FailureTarget"):
        if is_true(job, type_):
            return condition_of(job, type_)
    for pod in look.pods:
        if of_job.has_failed(pod, job) and (message := judge(job, pod).message):
            return look.condition("FailureTarget", "True", "PodFailurePolicy", message)
    if look.failed > spec["backoffLimit"] or _restarted_too_often(look):
        return _failure(look, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if (deadline := spec.get("activeDeadlineSeconds")) is not None and not look.is_suspended:
        left = timestamps.parse(look.status["startTime"]) + timedelta(seconds=deadline) - look.now
        if left <= timedelta():
            return _failure(look, "DeadlineExceeded", "Job was active longer than specified deadline")
        look.again_after = soonest(look.again_after, left)
    if look.fails_by_index:
        failed, most = len(look.failed_indexes), spec.get("maxFailedIndexes")
        if most is not None and failed > most:
            words = "Job has exceeded the specified maximal number of failed indexes"
            return _failure(look, "MaxFailedIndexesExceeded", words)
        if failed and failed + len(look.succeeded_indexes) >= spec["completions"]:
            return _failure(look, "FailedIndexes", "Job has failed indexes")
    if look.is_indexed and (met := success_rule(job, look.succeeded_indexes)):
        return look.condition("SuccessCriteriaMet", "True", "SuccessPolicy", met)
    return None


def _failure(look: _Round, reason: str, message: str) -> Object:
    return look.condition("FailureTarget", "True", reason, message)


def _restarted_too_often(look: _Round) -> bool:
    """Containers a kubelet restarts count like failed pods."""
    if dig(look.spec, "template", "spec", "restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        status.get("restartCount", 0)
        for pod in look.pods
        if dig(pod, "status", "phase") in ("Running", "Pending")
        for field in ("initContainerStatuses", "containerStatuses")
        for status in dig(pod, "status", field, default=())
    )
    return bool(restarts >= max(1, look.spec["backoffLimit"]))


def _is_complete(look: _Round) -> bool:
    if look.active:
        return False
    completions = look.spec.get("completions")
    return look.succeeded > 0 if completions is None else look.succeeded >= completions


def _enact(look: _Round, end: Object, *, is_last: bool) -> None:
    """First what will end the Job; the end itself once every pod is gone and counted."""
    look.set_condition(end)
    if not is_last or look.terminating or look.status["uncountedTerminatedPods"]:
        return
    if end["type"] == "SuccessCriteriaMet":
        look.set_condition(look.condition("Complete", "True", end["reason"], end["message"]))
        look.status["completionTime"] = timestamps.format_time(look.now)
        completions = look.spec.get("completions")
        if completions is not None and look.succeeded > completions:
            words = "Too many succeeded pods running after completion count reached"
            look.told.append(Emit(look.job, "TooManySucceededPods", words, "Warning"))
        look.told.append(Emit(look.job, "Completed", "Job completed"))
    else:
        look.set_condition(look.condition("Failed", "True", end["reason"], end["message"]))
        look.told.append(Emit(look.job, end["reason"], end["message"], "Warning"))


# ---- how many run


def _manage(look: _Round) -> Iterable[Action]:
    """As many active pods as parallelism and what is left to do ask for."""
    active = look.active
    wanted = 0 if look.is_suspended else _wanted(look)
    surplus = _surplus(look, max(0, len(active) - wanted))
    if surplus:
        # Let go first: a pod ended on purpose is no failure.
        return [
            *(of_job.untrack(pod) for pod in surplus if of_job.is_tracked(pod)),
            *(delete_pod(key_of(pod), uid_of(pod), look.job) for pod in surplus),
        ]
    if of_job.replaces_only_failed(look.job):
        wanted -= len(look.terminating)
    missing = min(wanted - len(active), _BURST)
    if missing <= 0:
        return ()
    if not look.fails_by_index and (wait := of_job.backoff(look.job, look.pods, look.now)):
        look.again_after = soonest(look.again_after, wait)
        return ()
    if not look.is_indexed:
        return (_create(look, of_job.pod_for(look.job)),) * missing
    return [
        _create(look, of_job.pod_for(look.job, index, replaced)) for index, replaced in _next_indexes(look, missing)
    ]


def _wanted(look: _Round) -> int:
    completions, parallelism = look.spec.get("completions"), int(look.spec["parallelism"])
    if completions is None:
        return len(look.active) if look.succeeded else parallelism
    return max(0, min(int(completions) - look.succeeded, parallelism))


def _next_indexes(look: _Round, count: int) -> list[tuple[int, Object | None]]:
    """The lowest indexes nobody works on, each with the pod that failed at it; those that may be tried now."""
    busy = look.succeeded_indexes | look.failed_indexes | {of_job.index_of(pod) for pod in look.active}
    if of_job.replaces_only_failed(look.job):
        busy |= {of_job.index_of(pod) for pod in look.terminating}
    candidates = islice(busy.missing(look.spec["completions"]), count)
    if not look.fails_by_index:
        return [(index, None) for index in candidates]
    failed = _waiting_failures(look)
    waits = [(of_job.index_backoff(failed.get(index), look.now), index) for index in candidates]
    ready = [(index, failed.get(index)) for wait, index in waits if not wait]
    look.again_after = soonest(look.again_after, *(wait for wait, _ in waits if wait))
    return ready


def _surplus(look: _Round, at_least: int) -> list[Object]:
    """Pods to end: of those that share an index all but one, then whoever is missed least."""
    if not at_least and not look.is_indexed:
        return []
    gone: list[Object] = []
    kept = least_missed(look.active)
    if look.is_indexed:
        best: dict[int, Object] = {}
        for pod in kept:  # the later, the more it would be missed
            index = of_job.index_of(pod)
            if index in best:
                gone.append(best[index])
            best[index] = pod
            if not look.has_index(pod):
                gone.append(best.pop(index))
        kept = [pod for pod in kept if pod not in gone]
    gone += kept[: max(0, at_least - len(gone))]
    return gone[:_BURST]


def _note_suspension(look: _Round) -> None:
    if look.is_suspended:
        if look.set_condition(look.condition("Suspended", "True", "JobSuspended", "Job suspended")):
            look.told.append(Emit(look.job, "Suspended", "Job suspended"))
            look.status.pop("startTime", None)
    elif look.set_condition(look.condition("Suspended", "False", "JobResumed", "Job resumed")):
        look.told.append(Emit(look.job, "Resumed", "Job resumed"))
        look.status["startTime"] = timestamps.format_time(look.now)


def _create(look: _Round, pod: Object) -> Create:
    return Create(POD, pod, Emit(look.job, "SuccessfulCreate", "Created pod: {name}"), partial(_refused, look.job))


def _refused(job: Object, error: ApiError) -> tuple[Action, ...]:
    return (Emit(job, "FailedCreate", f"Error creating: {error.message}", "Warning"),)


def _let_go(key: Key, view: View) -> tuple[Action, ...]:
    """Pods whose Job is gone wait for nobody."""
    return tuple(
        of_job.untrack(pod)
        for pod in view.select(POD, key.namespace, lambda labels: labels.get(of_job.NAME_LABEL) == key.name)
        if of_job.is_tracked(pod)
    )


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    yield from of_pod(JOB)(entry, view)
    if (name := entry.labels.get(of_job.NAME_LABEL)) and Key(entry.key.namespace, name) not in view.table(JOB).entries:
        yield Key(entry.key.namespace, name)  # an orphan's finalizer still is ours


CONTROLLER = Controller("job", (Watch(JOB, itself), Watch(POD, _of_pod)), plan, longest_wait=60)
