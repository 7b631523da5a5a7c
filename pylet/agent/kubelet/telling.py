"""Tells the API how a pod of this node is: `status` says it, `reporting` what of it is new."""

from __future__ import annotations

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.observed import Observed
from pylet.agent.kubelet.reporting import status_patch
from pylet.agent.kubelet.status import Circumstances, pod_status
from pylet.agent.kubelet.tally import Tally
from pylet.agent.kubelet.workplace import Node
from pylet.api.errors import Conflict, NotFound
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, key_of, uid_of
from pylet.api.podtemplate import TERMINAL
from pylet.client.interface import PatchType


async def report(
    pod: Object, granted: Object, observed: Observed, facts: Circumstances, tally: Tally, node: Node
) -> Object | None:
    """The pod as the API answers it, where there was something to tell; `granted` is the pod as it runs.

    Raises: ApiError, CannotProvide.
    """
    status = pod_status(granted, observed, facts, node.clock.now())
    if status.get("phase") in TERMINAL and not observed.running:
        await node.provisions.unprepare(uid_of(pod))  # before others are given what it claims
    patch = status_patch(pod, status)
    if patch is None:
        return None
    tally.report(granted, pod.get("status") or {}, status, node.clock.now())
    begin = node.clock.monotonic()
    try:
        answer = await node.client.patch(POD, key_of(pod), patch, type_=PatchType.STRATEGIC, subresource="status")
    except (NotFound, Conflict):
        return None  # gone or a namesake: the table will say so
    counters.STATUS_SYNCS.observe(node.clock.monotonic() - begin)
    return answer


def disrupted(why: str) -> list[Object]:
    """The condition of a pod that the node ends for others' sake; "" is none."""
    if not why:
        return []
    return [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": why}]
