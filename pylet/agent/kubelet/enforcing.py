"""Makes what running containers and their pod have what they were granted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pylet.agent.kubelet import resources
from pylet.agent.kubelet.config import cgroup_parent, resources_of
from pylet.agent.kubelet.provided import Extras
from pylet.agent.kubelet.resources import pod_resources
from pylet.agent.kubelet.workplace import Node
from pylet.api.object import Object

_LIST = ", "


async def enforce(pod: Object, running: Mapping[str, Object], node: Node) -> None:
    """The pod's cgroup first has room for both, what is and what will be; then for what is granted.

    `running` are containers to update, by id. Raises: CriError, OSError.
    """
    group = cgroup_parent(pod, node.settings)
    limits = node.provisions.limits(pod, pod_resources(pod, node.settings.quota_period_micros))
    wanted = {id_: resources_of(pod, container, Extras(), node.settings) for id_, container in running.items()}
    shrunk = [("pod", group, limits.memory_limit_in_bytes)]
    for id_, container in running.items():
        inside = node.settings.groups.of_container(group, id_)
        shrunk.append((f'container "{container["name"]}"', inside, wanted[id_].memory_limit_in_bytes))
    if words := [words for whose, of, limit in shrunk for words in _too_little(whose, of, limit, node)]:
        raise OSError(f"cannot decrease memory limits: {words[0] if len(words) == 1 else f'[{_LIST.join(words)}]'}")
    await node.cgroups.apply(group, resources.unbounded(limits))
    for id_, limited in wanted.items():
        await node.runtime.update_resources(id_, limited)
    await node.cgroups.apply(group, limits)


def _too_little(whose: str, group: str, limit: int, node: Node) -> Iterator[str]:
    """Whoever uses more than a lower limit would be killed by the kernel, where it does not refuse the limit."""
    before, used = node.cgroups.memory(group)
    if limit and used >= limit and (not before or limit < before):
        yield f"attempting to set {whose} memory limit ({limit}) below current usage ({used})"
