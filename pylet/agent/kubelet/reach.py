"""Whom of a pod a request is for, and why it is not to be had.

Source of codes and texts: upstream `pkg/kubelet/server/server.go` and `pkg/kubelet/kubelet_pods.go` (findContainer).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pylet.agent.kubelet.labels import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID
from pylet.api.object import Key, Object, key_of
from pylet.cri.interface import Runtime
from pylet.cri.messages import Container, ContainerState, SandboxState


class Refused(Exception):
    """An answer other than 200: its code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reach:
    """`pods` gives the pods bound to this node."""

    runtime: Runtime
    pods: Callable[[], list[Object]]

    def pod(self, namespace: str, name: str, otherwise: str = "pod does not exist") -> Object:
        """As the API has it. Raises: Refused."""
        found = next((whole for whole in self.pods() if key_of(whole) == Key(namespace, name)), None)
        if found is None:
            raise Refused(404, otherwise)
        return found

    async def container(self, namespace: str, pod: str, name: str, uid: str = "") -> Container | None:
        """The one that runs, if any. Raises: Refused, CriError."""
        self.pod(namespace, pod)
        wanted = _labels(namespace, pod, uid) | {CONTAINER_NAME: name}
        found = [
            candidate
            for candidate in await self.runtime.list_containers()
            if candidate.state is ContainerState.RUNNING and wanted.items() <= candidate.labels.items()
        ]
        return max(found, key=lambda candidate: (candidate.created_at, candidate.id), default=None)

    async def inside(self, namespace: str, pod: str, *rest: str) -> Container:
        """The container to run a command in; `rest` is its name, behind the pod's uid where the request says one.

        Raises: Refused, CriError.
        """
        *uids, name = rest
        found = await self.container(namespace, pod, name, *uids)
        if found is None:
            raise Refused(500, f'container not found ("{name}")')
        return found

    async def sandbox(self, namespace: str, pod: str, uid: str = "") -> str:
        """Its id. Raises: Refused, CriError."""
        self.pod(namespace, pod)
        wanted = _labels(namespace, pod, uid)
        for sandbox in await self.runtime.list_sandboxes():
            if sandbox.state is SandboxState.READY and wanted.items() <= sandbox.labels.items():
                return sandbox.id
        raise Refused(500, f'pod not found ("{pod}_{namespace}")')


def _labels(namespace: str, pod: str, uid: str) -> dict[str, str]:
    return {POD_NAMESPACE: namespace, POD_NAME: pod} | ({POD_UID: uid} if uid else {})
