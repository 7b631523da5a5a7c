"""A pod's phase, from its containers' statuses. Pure.

Source: upstream `pkg/kubelet/kubelet_pods.go`, getPhase.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pylet.agent.kubelet.restart_all import REASON
from pylet.agent.kubelet.spec import app_containers, init_containers, restarts_after
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig


def phase(
    pod: Object, statuses: Mapping[str, Object], *, is_ending: bool, has_begun: bool, anew: Collection[str] = ()
) -> str:
    """`is_ending`: nothing is started any more; `has_begun`: an app container of the current sandbox has started.

    `anew` are the containers that were told to end for another instance to follow.
    """

    def fate(container: Object) -> str:
        found = _outcome(pod, container, statuses[container["name"]])
        return "again" if found in ("done", "failed") and container["name"] in anew else found

    outcomes = [fate(c) for c in init_containers(pod) if not is_sidecar(c)]
    if "failed" in outcomes:
        return "Failed"
    sidecars = [statuses[c["name"]] for c in init_containers(pod) if is_sidecar(c)]
    uninitialized = any(_is_pending(sidecar) for sidecar in sidecars)
    apps = [fate(c) for c in app_containers(pod)]
    waits = any("waiting" in s["state"] and not _last_end(s) for s in (*sidecars,)) or "waiting" in apps
    if any(outcome in ("running", "waiting") for outcome in outcomes) or (uninitialized and not has_begun) or waits:
        return "Pending"
    if "running" in apps or any("running" in sidecar["state"] for sidecar in sidecars):
        return "Running"
    if not is_ending and "again" in apps:
        return "Running"
    return "Succeeded" if all(_exit_code(statuses[c["name"]]) == 0 for c in app_containers(pod)) else "Failed"


def _outcome(pod: Object, container: Object, status: Object) -> str:
    """running, waiting (has never run), done, failed or again (it ended and will be started again)."""
    if "running" in status["state"]:
        return "running"
    code = _exit_code(status)
    if code is None:
        return "waiting"
    if restarts_after(pod, container, code) or _was_reset(status):
        return "again"
    return "done" if code == 0 else "failed"


def _is_pending(sidecar: Object) -> bool:
    if "running" in sidecar["state"]:
        return not sidecar.get("started")
    return "waiting" in sidecar["state"] and not _last_end(sidecar)


def _exit_code(status: Object) -> int | None:
    """How it ended last; None while it has not."""
    ended = status["state"].get("terminated") or (_last_end(status) if "waiting" in status["state"] else None)
    return None if ended is None else int(ended.get("exitCode", 0))


def _was_reset(status: Object) -> bool:
    ended = status["state"].get("terminated") or _last_end(status) or {}
    return bool(ended.get("reason") == REASON)


def _last_end(status: Object) -> Object | None:
    found: Object | None = dig(status, "lastState", "terminated")
    return found
