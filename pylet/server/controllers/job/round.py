"""One look at a Job: what its pods come to, and the status being made of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pylet.api import timestamps
from pylet.api.indexes import Indexes
from pylet.api.object import Object, condition_of, dig, is_terminating, uid_of
from pylet.api.podtemplate import is_active, is_finished
from pylet.server.controllers.job import pods as of_job
from pylet.server.controllers.job.policies import judge
from pylet.server.reconcile.plan import Action


class Round:
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

    def waiting_failures(self) -> dict[int, Object]:
        """The last failed pod of each index that is going to be tried again."""
        active = {of_job.index_of(pod) for pod in self.active}
        return of_job.latest_failures(
            pod
            for pod in self.tracked()
            if of_job.has_failed(pod, self.job)
            and (index := of_job.index_of(pod)) not in active
            and index not in self.succeeded_indexes
            and index not in self.failed_indexes
        )

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
