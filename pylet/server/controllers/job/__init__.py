"""Job: run pods until so many have succeeded. Source: upstream `pkg/controller/job/job_controller.go`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from pylet.api import timestamps
from pylet.api.errors import ApiError
from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, dig, is_terminating, is_true, key_of, uid_of
from pylet.api.podspec.jobstatus import end_of
from pylet.api.podtemplate import is_ready
from pylet.client.view import Entry, View
from pylet.server.controllers.job import counted
from pylet.server.controllers.job import pods as of_job
from pylet.server.controllers.job.counting import count_what_was_let_go, note_indexes, note_uncounted
from pylet.server.controllers.job.policies import is_managed_by_others, judge, success_rule
from pylet.server.controllers.job.round import Round
from pylet.server.reconcile.deletion import delete_pod
from pylet.server.reconcile.leaving import least_missed
from pylet.server.reconcile.ownership import claim, of_part
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

_BURST = 500  # upstream's MaxPodCreateDeletePerSync


def plan(key: Key, view: View, now: datetime) -> Plan:
    job = view.get(JOB, key)
    if job is None:
        return Plan(_let_go(key, view))
    if is_managed_by_others(job):
        return NOTHING
    if end_of(job) is not None:
        return Plan(tuple(of_job.untrack(p) for p in view.owned_by(POD, uid_of(job)) if of_job.is_tracked(p)))
    owned, claims = claim(job, JOB, view, finalizer=of_job.FINALIZER)
    pods = [entry.object for entry in owned]
    if claims:
        return Plan(claims)
    look = Round(job, pods, now)
    if not look.status.get("startTime") and not look.is_suspended:
        look.status["startTime"] = timestamps.format_time(now)
    count_what_was_let_go(look)
    note_indexes(look)
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
    let_go = note_uncounted(look, end)
    if end is not None:
        _enact(look, end, is_last=not let_go and not look.active)
    status = look.status | {
        "active": len(look.active),
        "ready": sum(map(is_ready, look.active)),
        "terminating": len(look.terminating),
    }
    made = counted.made(look, sum(isinstance(change, Create) for change in changes))
    said = (*patch_status(JOB, job, status), *counted.counts(look, status))
    return Plan((*said, *let_go, *changes, *made, *look.told), look.again_after)


# ---- when it ends


def _end(look: Round) -> Object | None:
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


def _failure(look: Round, reason: str, message: str) -> Object:
    return look.condition("FailureTarget", "True", reason, message)


def _restarted_too_often(look: Round) -> bool:
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


def _is_complete(look: Round) -> bool:
    if look.active:
        return False
    completions = look.spec.get("completions")
    return look.succeeded > 0 if completions is None else look.succeeded >= completions


def _enact(look: Round, end: Object, *, is_last: bool) -> None:
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


def _manage(look: Round) -> Iterable[Action]:
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


def _wanted(look: Round) -> int:
    completions, parallelism = look.spec.get("completions"), int(look.spec["parallelism"])
    if completions is None:
        return len(look.active) if look.succeeded else parallelism
    return max(0, min(int(completions) - look.succeeded, parallelism))


def _next_indexes(look: Round, count: int) -> list[tuple[int, Object | None]]:
    """The lowest indexes nobody works on, each with the pod that failed at it; those that may be tried now."""
    busy = look.succeeded_indexes | look.failed_indexes | {of_job.index_of(pod) for pod in look.active}
    if of_job.replaces_only_failed(look.job):
        busy |= {of_job.index_of(pod) for pod in look.terminating}
    candidates = islice(busy.missing(look.spec["completions"]), count)
    if not look.fails_by_index:
        return [(index, None) for index in candidates]
    failed = look.waiting_failures()
    waits = [(of_job.index_backoff(failed.get(index), look.now), index) for index in candidates]
    ready = [(index, failed.get(index)) for wait, index in waits if not wait]
    look.again_after = soonest(look.again_after, *(wait for wait, _ in waits if wait))
    return ready


def _surplus(look: Round, at_least: int) -> list[Object]:
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


def _note_suspension(look: Round) -> None:
    if look.is_suspended:
        if look.set_condition(look.condition("Suspended", "True", "JobSuspended", "Job suspended")):
            look.told.append(Emit(look.job, "Suspended", "Job suspended"))
            look.status.pop("startTime", None)
    elif look.set_condition(look.condition("Suspended", "False", "JobResumed", "Job resumed")):
        look.told.append(Emit(look.job, "Resumed", "Job resumed"))
        look.status["startTime"] = timestamps.format_time(look.now)


def _create(look: Round, pod: Object) -> Create:
    return Create(POD, pod, Emit(look.job, "SuccessfulCreate", "Created pod: {name}"), partial(_refused, look))


def _refused(look: Round, error: ApiError) -> tuple[Action, ...]:
    return (Emit(look.job, "FailedCreate", f"Error creating: {error.message}", "Warning"), counted.refused(look))


def _let_go(key: Key, view: View) -> tuple[Action, ...]:
    """Pods whose Job is gone wait for nobody."""
    return tuple(
        of_job.untrack(pod)
        for pod in view.select(POD, key.namespace, lambda labels: labels.get(of_job.NAME_LABEL) == key.name)
        if of_job.is_tracked(pod)
    )


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    yield from of_part(JOB)(entry, view)
    if (name := entry.labels.get(of_job.NAME_LABEL)) and Key(entry.key.namespace, name) not in view.table(JOB).entries:
        yield Key(entry.key.namespace, name)  # an orphan's finalizer still is ours


CONTROLLER = Controller(
    "job",
    (Watch(JOB, itself), Watch(POD, _of_pod)),
    plan,
    longest_wait=60,
    synced=counted.synced,
    metrics=counted.lines,
)
