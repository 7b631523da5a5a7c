"""What a workload has to know of each of its pods, kept with the pod's entry. Pure.

A plan over thousands decodes none of them: that would be 25 KiB each, all at once.
"""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from pylet.api.object import condition_of, controller_of, dig, is_terminating
from pylet.api.podtemplate import is_finished, is_ready
from pylet.client.view import Entry


class Member(NamedTuple):
    controller: str
    """The uid of the owner that controls it, or ""."""
    node: str
    is_terminating: bool
    is_finished: bool
    ready_since: str | None
    """None when it is not ready."""

    @property
    def is_active(self) -> bool:
        return not self.is_finished and not self.is_terminating


def member(entry: Entry) -> Member:
    found: Member | None = entry.gist
    if found is None:
        pod = entry.decoded()
        ready = condition_of(pod, "Ready") if is_ready(pod) else None
        found = entry.gist = Member(
            intern((controller_of(pod) or {}).get("uid", "")),
            intern(dig(pod, "spec", "nodeName", default="")),
            is_terminating(pod),
            is_finished(pod),
            intern(ready.get("lastTransitionTime") or "") if ready is not None else None,
        )
    return found
