"""Which pods a drain takes off a node, and why it refuses. Source: kubectl `pkg/drain/filters.go`. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pylet.api import timestamps
from pylet.api.errors import aggregated
from pylet.api.object import Object, annotations_of, controller_of
from pylet.api.podtemplate import is_finished

_DAEMON_FATAL = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
_DAEMON_WARNING = "ignoring DaemonSet-managed Pods"
_LOCAL_FATAL = "Pods with local storage (use --delete-emptydir-data to override)"
_BARE_FATAL = "Pods that declare no controller (use --force to override)"
_BARE_WARNING = "deleting Pods that declare no controller"
_MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class Rules:
    force: bool = False
    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False
    skip_deleted_after_seconds: int = 0

    def patience_seconds(self, pod: Object, now: datetime) -> float:
        """How long the pod's end is still waited for, whose node may never tell of it; below 0 no longer."""
        deleted = pod["metadata"].get("deletionTimestamp")
        if not deleted or self.skip_deleted_after_seconds <= 0:
            return math.inf
        return self.skip_deleted_after_seconds - (now - timestamps.parse(deleted)).total_seconds()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one pod; `fatal` and `warning` are messages, "" for none."""

    leaves: bool
    fatal: str = ""
    warning: str = ""


@dataclass(slots=True)
class Selection:
    """The pods that leave, and whose names stand behind each message."""

    leaving: list[Object] = field(default_factory=list)
    fatal: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def refusal(self) -> str:
        """Why the drain can't be, "" when it can."""
        messages = [f"cannot delete {message}: {', '.join(names)}" for message, names in sorted(self.fatal.items())]
        return aggregated(messages) if messages else ""

    def warning(self) -> str:
        return "; ".join(f"{message}: {', '.join(names)}" for message, names in sorted(self.warnings.items()))


def select(pods: Sequence[Object], rules: Rules, daemon_sets: set[tuple[str, str]], now: datetime) -> Selection:
    """`daemon_sets` holds namespace and name of those that exist."""
    found = Selection()
    for pod in pods:
        verdict = judge(pod, rules, daemon_sets, now)
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if verdict.leaves:
            found.leaving.append(pod)
        if verdict.fatal:
            found.fatal.setdefault(verdict.fatal, []).append(name)
        if verdict.warning:
            found.warnings.setdefault(verdict.warning, []).append(name)
    return found


def judge(pod: Object, rules: Rules, daemon_sets: set[tuple[str, str]], now: datetime) -> Verdict:
    meta = pod["metadata"]
    finished = is_finished(pod)
    if rules.patience_seconds(pod, now) < 0:
        return Verdict(leaves=False)
    owner = controller_of(pod)
    if owner and owner["kind"] == "DaemonSet" and not finished:
        if (meta["namespace"], owner["name"]) not in daemon_sets:
            missing = f'daemonsets.apps "{owner["name"]}" not found'
            return Verdict(leaves=True, warning=missing) if rules.force else Verdict(leaves=False, fatal=missing)
        if not rules.ignore_daemonsets:
            return Verdict(leaves=False, fatal=_DAEMON_FATAL)
        return Verdict(leaves=False, warning=_DAEMON_WARNING)
    if _MIRROR in annotations_of(pod):
        return Verdict(leaves=False)
    local = any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ())
    if local and not finished and not rules.delete_emptydir_data:
        return Verdict(leaves=False, fatal=_LOCAL_FATAL)
    if not owner and not finished:
        return Verdict(leaves=True, warning=_BARE_WARNING) if rules.force else Verdict(leaves=False, fatal=_BARE_FATAL)
    # As upstream, the last rule's word is the one that is heard: the warning of local storage never is.
    return Verdict(leaves=True)
