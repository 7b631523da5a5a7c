"""Which CPUs are whose: the static policy of CPUs. Pure.

Containers of Guaranteed pods that ask for whole CPUs get them to themselves; all others share what is left.
Source: upstream `pkg/kubelet/cm/cpumanager/policy_static.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pylet.agent.kubelet.placement.choice import packed
from pylet.agent.kubelet.placement.hints import Hint, Hints, Nodes, hints_for
from pylet.agent.kubelet.placement.layout import Cpus, Inconsistent, Layout, format_cpus
from pylet.agent.kubelet.placement.spread import spread
from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.spec import (
    all_containers,
    app_containers,
    init_containers,
    milli_cpu,
    qos_class,
)
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, uid_of

Assignments = dict[str, dict[str, Cpus]]
"""By pod's uid and container."""


class Misaligned(CannotProvide):
    """A container does not get whole cores."""

    reason = "SMTAlignmentError"

    @property
    def refusal(self) -> tuple[str, str]:
        return self.reason, f"SMT Alignment Error: {self}"


@dataclass(frozen=True, slots=True)
class CpuOptions:
    full_cores_only: bool = False
    spread_over_numa: bool = False
    strict_reservation: bool = False
    by_cache: bool = False


@dataclass(slots=True)
class CpuPool:
    """`reserved` are nobody's alone; `shared` are where everybody else runs."""

    layout: Layout
    reserved: Cpus
    options: CpuOptions = CpuOptions()
    assigned: Assignments = field(default_factory=dict)

    @property
    def shared(self) -> Cpus:
        taken = frozenset[int]().union(*(cpus for of in self.assigned.values() for cpus in of.values()))
        return (self.layout.cpus - self.reserved if self.options.strict_reservation else self.layout.cpus) - taken

    @property
    def free(self) -> Cpus:
        return self.shared - self.reserved

    def own_by_node(self) -> dict[int, int]:
        """How many somebody has alone, by NUMA node."""
        taken = [cpu for of in self.assigned.values() for cpus in of.values() for cpu in cpus]
        return {node: sum(self.layout.by_id[cpu].numa == node for cpu in taken) for node in self.layout.numa_nodes}

    def of(self, uid: str, container: str) -> Cpus | None:
        """What the container has to itself."""
        return self.assigned.get(uid, {}).get(container)

    def restore(self, shared: Cpus, assigned: Mapping[str, Mapping[str, Cpus]]) -> None:
        """What was written down. Raises: Inconsistent."""
        strictly = self.options.strict_reservation
        if strictly and (kept := self.reserved & shared):
            words = f'some of strictly reserved cpus: "{format_cpus(kept)}" are present in defaultCpuSet: '
            raise Inconsistent(f'{words}"{format_cpus(shared)}"')
        if not strictly and not self.reserved <= shared:
            words = f'not all reserved cpus: "{format_cpus(self.reserved)}" are present in defaultCpuSet: '
            raise Inconsistent(f'{words}"{format_cpus(shared)}"')
        for uid, containers in assigned.items():
            for name, cpus in containers.items():
                if cpus & shared:
                    words = f'pod: {uid}, container: {name} cpuset: "{format_cpus(cpus)}" overlaps with default cpuset '
                    raise Inconsistent(f'{words}"{format_cpus(shared)}"')
        known = shared.union(*(cpus for of in assigned.values() for cpus in of.values()))
        if known | (self.reserved if strictly else frozenset()) != self.layout.cpus:
            words = (
                f'current set of available CPUs "{format_cpus(self.layout.cpus)}" doesn\'t match with CPUs in state '
            )
            raise Inconsistent(f'{words}"{format_cpus(known)}"')
        self.assigned = {uid: dict(containers) for uid, containers in assigned.items()}

    def keep(self, uids: Collection[str]) -> None:
        """Take back what pods that are no more had."""
        self.assigned = {uid: of for uid, of in self.assigned.items() if uid in uids}

    def allocate(self, pod: Object, container: Object, hint: Hint | None = None) -> None:
        """Raises: CannotProvide."""
        count = exclusive(pod, container)
        if not count:
            return
        self._insist_on_cores(count)
        uid, name = uid_of(pod), str(container["name"])
        if self.of(uid, name) is None:
            nodes = hint.nodes if hint is not None else None
            self.assigned.setdefault(uid, {})[name] = self._chosen(count, self._reusable(pod), nodes)

    def hints(self, pod: Object, container: Object) -> Hints:
        count, held = exclusive(pod, container), self.of(uid_of(pod), str(container["name"]))
        if not count:
            return {}
        if held is not None:
            return {"cpu": self._hints(count, held) if len(held) == count else []}
        return {"cpu": self._hints(count, self.free, self._reusable(pod))}

    def pod_hints(self, pod: Object) -> Hints:
        count = pod_exclusive(pod)
        if not count:
            return {}
        held: set[int] = set()
        for container in all_containers(pod):
            its = self.of(uid_of(pod), str(container["name"]))
            if its is not None and len(its) != exclusive(pod, container):
                return {"cpu": []}
            held |= its or set()
        if len(held) == count:
            return {"cpu": self._hints(count, frozenset(held))}
        return {"cpu": self._hints(count, self.free, self._reusable(pod) | held)}

    def _hints(self, count: int, free: Cpus, reused: Cpus = frozenset()) -> list[Hint]:
        near = {cpu.id: (cpu.numa,) for cpu in self.layout.by_id.values()}
        return hints_for(count, self.layout.ids("numa"), near, free, reused)

    def _insist_on_cores(self, count: int) -> None:
        threads = self.layout.cpus_per_core
        if not self.options.full_cores_only:
            return
        if count % threads:
            raise Misaligned(f"requested {count} cpus not multiple cpus per core = {threads}")
        reserved = self.layout.inside("core", self.layout.ids("core", self.reserved))
        if count > (free := len(self.shared - reserved)):
            words = f"available physical CPUs = {free}, requested CPUs = {count}, CPUs per core = {threads}"
            raise Misaligned(f"not enough free physical CPUs: {words}")

    def _chosen(self, count: int, reusable: Cpus, affinity: Nodes | None) -> Cpus:
        available = self.free | reusable
        near = self.layout.inside("numa", affinity, available) if affinity is not None else frozenset[int]()
        taken = self._taken(near, min(count, len(near)))
        return taken | self._taken(available - taken, count - len(taken))

    def _taken(self, available: Cpus, count: int) -> Cpus:
        if self.options.spread_over_numa:
            group = self.layout.cpus_per_core if self.options.full_cores_only else 1
            return spread(self.layout, available, count, group)
        return packed(self.layout, available, count, by_cache=self.options.by_cache)

    def _reusable(self, pod: Object) -> Cpus:
        """What init containers had that end before others of the pod start, and no other has."""
        held = self.assigned.get(uid_of(pod), {})
        passing = {c["name"] for c in init_containers(pod) if not is_sidecar(c)}
        passed, kept = (frozenset[int]().union(*(held[c] for c in held if (c in passing) is p)) for p in (True, False))
        return passed - kept


def exclusive(pod: Object, container: Object) -> int:
    """How many CPUs a container is to have to itself."""
    milli = milli_cpu(container, "requests")
    if milli % 1000 or pod["spec"].get("resources") or qos_class(pod) != "Guaranteed":
        return 0
    return milli // 1000


def pod_exclusive(pod: Object) -> int:
    """The most its containers have at a time."""
    sidecars = most = 0
    for container in init_containers(pod):
        if is_sidecar(container):
            sidecars += exclusive(pod, container)
        else:
            most = max(most, sidecars + exclusive(pod, container))
    return max(most, sidecars + sum(exclusive(pod, container) for container in app_containers(pod)))
