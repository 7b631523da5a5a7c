"""How a Job's pods are counted, each of them exactly once.

A pod that ended bears a finalizer until it is counted. First its uid is noted in the status as not counted yet, then
the finalizer goes, and only then, in one write, the uid makes room for a larger number: whatever is interrupted is
taken up where it was left.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pylet.api.object import Object, is_terminating, uid_of
from pylet.server.controllers.job import counted
from pylet.server.controllers.job import pods as of_job
from pylet.server.controllers.job.policies import judge
from pylet.server.controllers.job.round import Round
from pylet.server.reconcile.plan import Action

_AT_ONCE = 500  # upstream's MaxUncountedPods


def count_what_was_let_go(look: Round) -> None:
    """Uids whose pods bear no finalizer any more become numbers."""
    tracked = {uid_of(pod) for pod in look.pods if of_job.is_tracked(pod)}
    kept: Object = {}
    for what in ("succeeded", "failed"):
        known = look.uncounted(what)
        kept[what] = [uid for uid in known if uid in tracked]
        if not (look.is_indexed and what == "succeeded"):
            look.status[what] = look.status.get(what, 0) + len(known) - len(kept[what])
    look.status["uncountedTerminatedPods"] = {what: uids for what, uids in kept.items() if uids}


def note_indexes(look: Round) -> None:
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


def note_uncounted(look: Round, end: Object | None) -> tuple[Action, ...]:
    """Note the uids of pods that ended, and let these go."""
    noted = {what: look.uncounted(what) for what in ("succeeded", "failed")}
    ended = list(islice(_ended(look, is_over=end is not None or is_terminating(look.job)), _AT_ONCE))
    ends_badly = end is not None and end["type"] != "SuccessCriteriaMet"
    new = [pod for pod in ended if uid_of(pod) not in (*noted["failed"], *noted["succeeded"])]
    failed = [pod for pod in new if (ends_badly or of_job.has_failed(pod, look.job)) and not of_job.has_succeeded(pod)]
    look.told += counted.handled(look, filter(look.has_index, failed))
    for pod in new:
        if what := _counts_as(look, pod, ends_badly=ends_badly):
            noted[what].append(uid_of(pod))
    look.status["uncountedTerminatedPods"] = {what: uids for what, uids in noted.items() if uids}
    return tuple(map(of_job.untrack, ended))


def _ended(look: Round, *, is_over: bool) -> Iterator[Object]:
    """Tracked pods that are to be let go: all where the Job is over."""
    waiting = look.waiting_failures() if look.fails_by_index and not is_over else {}
    for pod in filter(of_job.is_tracked, look.pods):
        failed = of_job.has_failed(pod, look.job)
        if failed and waiting.get(of_job.index_of(pod)) is pod:
            continue  # its successor must still read from it how often the index failed
        if is_over or failed or of_job.has_succeeded(pod):
            yield pod


def _counts_as(look: Round, pod: Object, *, ends_badly: bool) -> str:
    """succeeded, failed, or "" for what is not to be noted."""
    if of_job.has_succeeded(pod):
        return "" if look.is_indexed else "succeeded"
    failed = ends_badly or of_job.has_failed(pod, look.job)
    return "failed" if failed and look.has_index(pod) and judge(look.job, pod).counts else ""
