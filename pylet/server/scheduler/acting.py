"""What the scheduler writes: bindings, why a pod found no place, and the end of those that make room."""

from __future__ import annotations

import logging

from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import ApiError, NotFound
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, dig, key_of, uid_of
from pylet.api.volumebinding import SELECTED_NODE
from pylet.client.interface import Client, PatchType
from pylet.server.scheduler.volumes import Binding

log = logging.getLogger(__name__)

_MANAGER = "kube-scheduler"


class Writer:
    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def bind(self, key: Key, uid: str, node: str) -> None:
        """Raises: ApiError."""
        binding: Object = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        await self._client.create(POD, binding, key=key, subresource="binding")

    async def bind_volumes(self, binding: Binding) -> None:
        """Give volumes to claims, and have claims provisioned for the node. Raises: ApiError."""
        for volume, _ in binding.volumes:
            await self._client.update(VOLUME, volume)
        for claim in binding.claims:
            meta = {"uid": uid_of(claim), "annotations": {SELECTED_NODE: binding.node}}
            await self._client.patch(CLAIM, key_of(claim), {"metadata": meta}, manager=_MANAGER)

    async def refused(self, pod: Object, reason: str, message: str, nominated: str | None) -> None:
        """Tell in its status why a pod has no node; `nominated` is the node it may get ("" for none, None as it is)."""
        status: Object = {}
        condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
        if (conditions := self._with(pod, condition)) is not None:
            status["conditions"] = conditions
        if nominated is not None and nominated != dig(pod, "status", "nominatedNodeName", default=""):
            status["nominatedNodeName"] = nominated or None
        await self._patch(pod, status)

    async def nominate(self, pod: Object, node: str) -> None:
        if node != dig(pod, "status", "nominatedNodeName", default=""):
            await self._patch(pod, {"nominatedNodeName": node or None})

    async def preempt(self, victim: Object, scheduler: str) -> bool:
        """Say why the pod must go, and delete it; False when it had gone. Raises: ApiError."""
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        }
        try:
            if (conditions := self._with(victim, condition)) is not None:
                await self._write(victim, {"conditions": conditions})
            await self._client.delete(POD, key_of(victim), uid=uid_of(victim))
        except NotFound:
            return False
        return True

    def _with(self, pod: Object, condition: Object) -> list[Object] | None:
        """The condition to be merged into the pod's; None when it is there. Source: `pkg/api/v1/pod/util.go`."""
        condition = {**condition, "observedGeneration": pod["metadata"].get("generation", 0)}
        current = condition_of(pod, condition["type"])
        if current is not None and all(current.get(name) == value for name, value in condition.items()):
            return None
        since = timestamps.format_time(self._clock.now())
        if current is not None and current["status"] == condition["status"]:
            since = current.get("lastTransitionTime") or since
        return [{**condition, "lastTransitionTime": since}]

    async def _patch(self, pod: Object, status: Object) -> None:
        if not status:
            return
        try:
            await self._write(pod, status)
        except NotFound:
            return
        except ApiError as failed:
            log.warning("status of pod %s: %s", pod["metadata"]["name"], failed.message)

    async def _write(self, pod: Object, status: Object) -> None:
        patch = {"metadata": {"uid": uid_of(pod)}, "status": status}
        await self._client.patch(
            POD,
            key_of(pod),
            patch,
            type_=PatchType.STRATEGIC,
            subresource="status",
            manager=_MANAGER,
        )
