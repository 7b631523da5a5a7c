"""What one pod's reports tell the counters: how long its start took, and how its containers end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.spec import container_type, init_containers
from pylet.api import timestamps
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig

_LISTS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


@dataclass(slots=True)
class Tally:
    """`seen_at` is when the pod was first seen; None where its start is over, or began before."""

    seen_at: datetime | None
    pulling_seconds: float = 0.0

    def report(self, pod: Object, old: Object, new: Object, now: datetime) -> None:
        """The pod's status was `old` and is `new`."""
        for listed in _LISTS:
            over = {entry["name"] for entry in old.get(listed) or () if dig(entry, "state", "terminated")}
            for entry in new.get(listed) or ():
                if (ended := dig(entry, "state", "terminated")) and entry["name"] not in over:
                    type_ = container_type(pod, entry["name"])
                    counters.TERMINATED.add(type_, str(ended.get("exitCode", 0)), ended.get("reason", ""))
        states = [entry.get("state", {}) for entry in new.get("containerStatuses") or ()]
        if self.seen_at is None or not states or any("running" not in state for state in states):
            return
        made = pod["metadata"].get("creationTimestamp")
        total = (now - (timestamps.parse(made) if made else self.seen_at)).total_seconds()
        counters.STARTS.observe((now - self.seen_at).total_seconds())
        counters.TOTAL_STARTS.observe(total)
        counters.SLI_STARTS.observe(max(0.0, total - self.pulling_seconds - _preparing_seconds(pod, new)))
        self.seen_at = None


def _preparing_seconds(pod: Object, status: Object) -> float:
    """Of containers that ran one after the other before the others did."""
    names = {container["name"] for container in init_containers(pod) if not is_sidecar(container)}
    found = 0.0
    for entry in status.get("initContainerStatuses") or ():
        ended = dig(entry, "state", "terminated") or {}
        if entry["name"] in names and ended.get("startedAt") and ended.get("finishedAt"):
            found += (timestamps.parse(ended["finishedAt"]) - timestamps.parse(ended["startedAt"])).total_seconds()
    return found
