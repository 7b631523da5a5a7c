"""Frees the disk of what has ended for good: containers of pods that are over, with their logs.

As long as there is room they stay, for whoever wants to read what they said. Source: upstream
`pkg/kubelet/kuberuntime/kuberuntime_gc.go`, DeleteAllUnusedContainers.
"""

from __future__ import annotations

from pylet.agent.kubelet.files import forget_instance
from pylet.agent.kubelet.labels import POD_UID
from pylet.agent.kubelet.workplace import Node
from pylet.api.object import is_terminating, uid_of
from pylet.api.podtemplate import is_finished
from pylet.cri.messages import ContainerState, SandboxState


async def remove_dead(node: Node) -> int:
    """How many containers there were. Raises: CriError."""
    over = {uid_of(pod): pod for pod in node.pods() if is_finished(pod) and not is_terminating(pod)}
    if not over:
        return 0
    containers = await node.runtime.list_containers()
    dead = [c for c in containers if c.state is ContainerState.EXITED and c.labels.get(POD_UID) in over]
    for container in dead:
        await node.runtime.remove_container(container.id)
        name, restarts = container.metadata.name, container.metadata.attempt
        forget_instance(over[container.labels[POD_UID]], name, restarts, container.id, node.settings)
    in_use = {container.pod_sandbox_id for container in containers if container not in dead}
    for sandbox in await node.runtime.list_sandboxes():
        is_over = sandbox.labels.get(POD_UID) in over and sandbox.state is SandboxState.NOT_READY
        if is_over and sandbox.id not in in_use:
            await node.runtime.remove_sandbox(sandbox.id)
    return len(dead)
