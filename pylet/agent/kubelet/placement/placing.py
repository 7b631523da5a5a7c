"""Where this node's pods run, by its settings: CPUs to themselves, near what else they are given.

What is given is written down before a container is made with it. Raises Inconsistent where what was written down does
not fit the machine or the settings any more: then the node does not start, as upstream's does not.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

from pylet.agent.kubelet.placement import state
from pylet.agent.kubelet.placement.choice import packed
from pylet.agent.kubelet.placement.cpus import CpuPool, Inconsistent
from pylet.agent.kubelet.placement.hints import Policy
from pylet.agent.kubelet.placement.layout import Layout, format_cpus
from pylet.agent.kubelet.placement.settings import Settings
from pylet.agent.kubelet.provided import CannotProvide

__all__ = ["Inconsistent", "Placement"]


class Placement:
    """`pools` are what is given out. `reserved_milli` of CPU are the machine's own where CPUs are not named."""

    def __init__(self, directory: Path, layout: Layout, settings: Settings, reserved_milli: int) -> None:
        """Raises: Inconsistent, OSError."""
        self.layout = layout
        self.scope = settings.topology_scope
        self.policy = _policy(layout, settings)
        self.cpus = _cpu_pool(layout, settings, reserved_milli) if settings.cpu_policy == "static" else None
        self.pools = [pool for pool in (self.cpus,) if pool is not None]
        self._file = directory / state.FILE
        self._written = ""
        if self.cpus is not None:
            self._restore(self.cpus)

    def save(self) -> bool:
        """Write down what is whose; whether that is something else than before. Raises: OSError."""
        text = state.to_text(self.cpus) if self.cpus is not None else ""
        if text == self._written:
            return False
        write(self._file, text)
        self._written = text
        return True

    def keep(self, uids: Collection[str]) -> bool:
        """Take back what pods that are no more had; whether there was any."""
        return any([pool.keep(uids) for pool in self.pools])

    def cpus_of(self, uid: str, container: str) -> str:
        """Where a container runs; "" is anywhere."""
        if self.cpus is None:
            return ""
        own = self.cpus.of(uid, container)
        return format_cpus(self.cpus.shared if own is None else own)

    def has_own_cpus(self, uid: str, container: str = "") -> bool:
        """Whether the container has, or any of the pod's."""
        held = self.cpus.assigned.get(uid, {}) if self.cpus is not None else {}
        return container in held if container else bool(held)

    def _restore(self, pool: CpuPool) -> None:
        try:
            state.restore(pool, self._file.read_text())
        except FileNotFoundError:
            pass
        except Inconsistent as bad:
            words = "please drain this node and delete the CPU manager checkpoint file"
            raise Inconsistent(f'{bad}, {words} "{self._file}" before restarting Kubelet') from bad
        self.save()


def write(file: Path, text: str) -> None:
    """Whole or not at all. Raises: OSError."""
    fresh = file.with_name(f".{file.name}")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.replace(file)


def _policy(layout: Layout, settings: Settings) -> Policy | None:
    if settings.topology_policy == "none":
        return None
    nodes = frozenset(layout.numa_nodes)
    if len(nodes) > settings.most_numa_nodes:
        raise Inconsistent(f"unsupported on machines with more than {settings.most_numa_nodes} NUMA Nodes")
    return Policy(settings.topology_policy, nodes, layout.distances if settings.prefers_closest else None)


def _cpu_pool(layout: Layout, settings: Settings, reserved_milli: int) -> CpuPool:
    reserved = settings.reserved_cpus
    count = len(reserved) or math.ceil(reserved_milli / 1000)
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
