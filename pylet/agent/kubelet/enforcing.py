"""Makes a running container's resources what it was granted."""

from __future__ import annotations

from pylet.agent.kubelet import resources
from pylet.agent.kubelet.config import cgroup_parent, resources_of
from pylet.agent.kubelet.provided import Extras
from pylet.agent.kubelet.resources import pod_resources
from pylet.agent.kubelet.starting import Node
from pylet.api.object import Object


async def enforce(pod: Object, container_id: str, container: Object, node: Node) -> None:
    """The pod's cgroup first has room for both, what is and what will be; then for what is granted.

    Raises: CriError, OSError.
    """
    group, limits = cgroup_parent(pod, node.settings), node.provisions.limits(pod, pod_resources(pod))
    await node.cgroups.apply(group, resources.unbounded(limits))
    await node.runtime.update_resources(container_id, resources_of(pod, container, Extras(), node.settings))
    await node.cgroups.apply(group, limits)
