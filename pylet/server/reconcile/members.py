"""What workloads, Services and budgets have to know of each of their pods, kept with the pod's entry. Pure.

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
    is_ready: bool
    ready_at: str
    """When that became so, or ceased to be; "" before anybody said."""
    ips: tuple[str, ...]
    hostname: str
    subdomain: str

    @property
    def is_active(self) -> bool:
        return not self.is_finished and not self.is_terminating


def member(entry: Entry) -> Member:
    found: Member | None = entry.gist
    if found is None:
        pod = entry.decoded()
        spec = pod["spec"]
        found = entry.gist = Member(
            intern((controller_of(pod) or {}).get("uid", "")),
            intern(spec.get("nodeName") or ""),
            is_terminating(pod),
            is_finished(pod),
            is_ready(pod),
            intern((condition_of(pod, "Ready") or {}).get("lastTransitionTime") or ""),
            tuple([address["ip"] for address in dig(pod, "status", "podIPs", default=())]),
            spec.get("hostname") or "",
            intern(spec.get("subdomain") or ""),
        )
    return found
