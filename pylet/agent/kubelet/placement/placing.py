"""Where this node's pods run, by its settings: CPUs to themselves, near what else they are given.

What is given is written down before a container is made with it. Raises Inconsistent where what was written down does
not fit the machine or the settings any more: then the node does not start, as upstream's does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from pylet.agent.kubelet.placement import state
from pylet.agent.kubelet.placement.choice import packed
from pylet.agent.kubelet.placement.cpus import CpuPool
from pylet.agent.kubelet.placement.hints import Policy
from pylet.agent.kubelet.placement.layout import Inconsistent, Layout, format_cpus
from pylet.agent.kubelet.placement.memory import MemoryPool, allocatable
from pylet.agent.kubelet.placement.settings import Settings
from pylet.agent.kubelet.provided import CannotProvide
from pylet.aio import wholefile
from pylet.api.quantity import NANOS

__all__ = ["Inconsistent", "Placement"]


class Placement:
    """`pools` are what is given out. `reserved` is the machine's own, in nanos by resource (cpu, memory)."""

    def __init__(self, directory: Path, layout: Layout, settings: Settings, reserved: Mapping[str, int]) -> None:
        """Raises: Inconsistent, OSError."""
        self.layout = layout
        self.scope = settings.topology_scope
        self.policy = _policy(layout, settings)
        self.cpus = _cpu_pool(layout, settings, reserved) if settings.cpu_policy == "static" else None
        self.memory = _memory_pool(layout, settings, reserved) if settings.memory_policy == "Static" else None
        self.pools = [pool for pool in (self.cpus, self.memory) if pool is not None]
        self.policies = {"cpu": 'CPU Manager policy "static"'} if self.cpus is not None else {}
        self.policies |= {"memory": 'Memory Manager policy "Static"'} if self.memory is not None else {}
        self._data: dict[Path, Callable[[], dict[str, Any]]] = {}
        self._written: dict[Path, str] = {}
        if (cpus := self.cpus) is not None:
            file = directory / state.CPU_FILE
            self._data[file] = lambda: state.cpu_data(cpus)
            self._written[file] = _restore(file, "static", "CPU", lambda data: state.restore_cpus(cpus, data))
        if (memory := self.memory) is not None:
            file = directory / state.MEMORY_FILE
            self._data[file] = lambda: state.memory_data(memory)
            self._written[file] = _restore(file, "Static", "Memory", lambda data: state.restore_memory(memory, data))
        self.save()

    def save(self) -> bool:
        """Write down what is whose; whether that is something else than before. Raises: OSError."""
        texts = {file: state.text_of(data()) for file, data in self._data.items()}
        changed = {file: text for file, text in texts.items() if self._written.get(file) != text}
        for file, text in changed.items():
            wholefile.write(file, text.encode())
            self._written[file] = text
        return bool(changed)

    def keep(self, uids: Collection[str]) -> None:
        """Take back what pods that are no more had."""
        for pool in self.pools:
            pool.keep(uids)

    def cpus_of(self, uid: str, container: str) -> str:
        """Where a container runs; "" is anywhere."""
        if self.cpus is None:
            return ""
        own = self.cpus.of(uid, container)
        return format_cpus(self.cpus.shared if own is None else own)

    def memory_of(self, uid: str, container: str) -> str:
        """The nodes its memory is on; "" is any."""
        return format_cpus(self.memory.nodes_of(uid, container)) if self.memory is not None else ""

    def has_own_cpus(self, uid: str, container: str = "") -> bool:
        """Whether the container has, or any of the pod's."""
        held = self.cpus.assigned.get(uid, {}) if self.cpus is not None else {}
        return container in held if container else bool(held)


def _restore(file: Path, policy: str, kind: str, restore: Callable[[Mapping[str, Any]], None]) -> str:
    """Answers what was read."""
    try:
        text = file.read_text()
        restore(state.parse(text, policy))
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError, AttributeError) as bad:
        words = f'please drain this node and delete the {kind} manager checkpoint file "{file}" before restarting'
        raise Inconsistent(f"could not restore state from checkpoint: {bad}, {words}") from bad
    return text


def _policy(layout: Layout, settings: Settings) -> Policy | None:
    if settings.topology_policy == "none":
        return None
    nodes = frozenset(layout.numa_nodes)
    if len(nodes) > settings.most_numa_nodes:
        raise Inconsistent(f"unsupported on machines with more than {settings.most_numa_nodes} NUMA Nodes")
    return Policy(settings.topology_policy, nodes, layout.distances if settings.prefers_closest else None)


def _cpu_pool(layout: Layout, settings: Settings, kept: Mapping[str, int]) -> CpuPool:
    reserved = settings.reserved_cpus
    count = len(reserved) or math.ceil(kept["cpu"] / NANOS)
    if not count:
        words = "the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero"
        raise Inconsistent(f"cpuManagerPolicy: {words}")
    if not reserved:
        try:
            reserved = packed(layout, layout.cpus, count)
        except CannotProvide as failed:
            raise Inconsistent(f"cpuManagerPolicy: unable to reserve the required amount of CPUs: {failed}") from failed
    if not reserved <= layout.cpus:
        unknown = format_cpus(reserved - layout.cpus)
        raise Inconsistent(f"reservedSystemCPUs: this machine has no CPUs {unknown}")
    return CpuPool(layout, reserved, settings.cpu_options)


def _memory_pool(layout: Layout, settings: Settings, kept: Mapping[str, int]) -> MemoryPool:
    reserved = settings.reserved_memory
    for node in reserved.keys() - layout.memory.keys():
        words = f"references a NUMA node {node} that does not exist on this machine"
        raise Inconsistent(f"the reserved memory configuration {words}")
    for what in {"memory"}.union(*reserved.values()):
        total, whole = sum(of.get(what, 0) for of in reserved.values()), kept.get(what, 0) // NANOS
        if total != whole:
            words = f'is not equal to the value "{whole}" determined by Node Allocatable feature'
            raise Inconsistent(f'the total amount "{total}" of type "{what}" {words}')
    return MemoryPool(allocatable(layout.memory, reserved))
