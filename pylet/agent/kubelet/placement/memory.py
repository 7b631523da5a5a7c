"""From which NUMA nodes containers of Guaranteed pods have their memory: the Static policy of memory. Pure.

A node serves either single-node containers or those of one group of nodes, never both.
Source: upstream `pkg/kubelet/cm/memorymanager/policy_static.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pylet.agent.kubelet.placement.hints import Hint, Hints, Nodes, narrowness, subsets
from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.spec import all_containers, app_containers, init_containers, qos_class
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig, uid_of
from pylet.api.quantity import value_of

Amounts = Mapping[str, int]
"""Bytes by resource: memory and huge pages."""


_NOTHING_SAID = Hint(None, preferred=False)


@dataclass(frozen=True, slots=True)
class Block:
    """What a container has of one resource; what others of its pod took over from it is not counted any more."""

    nodes: Nodes
    resource: str
    size: int


@dataclass(slots=True)
class MemoryPool:
    """`allocatable` by NUMA node and resource; `blocks` by pod's uid and container."""

    allocatable: Mapping[int, Amounts]
    blocks: dict[str, dict[str, tuple[Block, ...]]] = field(default_factory=dict)

    def nodes_of(self, uid: str, container: str) -> Nodes:
        return frozenset[int]().union(*(block.nodes for block in self.blocks.get(uid, {}).get(container, ())))

    def keep(self, uids: Collection[str]) -> None:
        """Take back what pods that are no more had."""
        self.blocks = {uid: of for uid, of in self.blocks.items() if uid in uids}

    def allocate(self, pod: Object, container: Object, hint: Hint | None = None) -> None:
        """Raises: CannotProvide."""
        uid, name, asked = uid_of(pod), str(container["name"]), _asked(container)
        if not _is_placed(pod) or name in self.blocks.get(uid, {}):
            return
        free, possible, hint = self._free(), self._possible(pod, asked), hint or _NOTHING_SAID
        if hint.nodes is None:
            if not possible:
                words = "failed to get the default NUMA affinity, no NUMA nodes with enough memory is available"
                raise CannotProvide(f"[memorymanager] {words}")
            hint = _at_least(hint, _best(possible), "default")
        assert hint.nodes is not None
        nodes = hint.nodes
        if any(sum(free[node].get(what, 0) for node in nodes) < size for what, size in asked.items()):
            wider = [other for other in possible if other.nodes is not None and nodes <= other.nodes]
            if not wider:
                raise CannotProvide("[memorymanager] failed to find NUMA nodes to extend the current topology hint")
            nodes = _at_least(hint, _best(wider), "extended").nodes or nodes
        if len(nodes) > 1 and any(group != nodes for group in self._groups(nodes)):
            raise CannotProvide("[memorymanager] preferred hint violates NUMA node allocation")
        mine = tuple(Block(nodes, what, size) for what, size in asked.items())
        self._take_over(pod, name, mine)
        self.blocks.setdefault(uid, {})[name] = mine

    def hints(self, pod: Object, container: Object) -> Hints:
        held = self.blocks.get(uid_of(pod), {}).get(str(container["name"]))
        return self._hints(pod, _asked(container), held)

    def pod_hints(self, pod: Object) -> Hints:
        own = self.blocks.get(uid_of(pod), {})
        held = next((own[c["name"]] for c in all_containers(pod) if c["name"] in own), None)
        return self._hints(pod, _asked_by_pod(pod), held)

    def _hints(self, pod: Object, asked: Amounts, held: tuple[Block, ...] | None) -> Hints:
        if not _is_placed(pod):
            return {}
        if held is not None:
            is_same = {block.resource: block.size for block in held} == asked
            return {block.resource: [Hint(block.nodes, preferred=True)] for block in held} if is_same else {}
        possible = self._possible(pod, asked)
        return dict.fromkeys(asked, possible) if possible else {}

    def _possible(self, pod: Object, asked: Amounts) -> list[Hint]:
        """From which nodes it could come; the fewest that could be enough are preferred."""
        free, least, found = self._free(), len(self.allocatable), []
        for nodes in subsets(sorted(self.allocatable)):
            if not _has(self.allocatable, nodes, asked):
                continue
            least = min(least, len(nodes))
            groups = self._groups(nodes)
            is_taken = any(len(group) > 1 if len(nodes) == 1 else group != nodes for group in groups)
            if not is_taken and _has(free, nodes, {w: s - self._reusable(pod, nodes, w) for w, s in asked.items()}):
                found.append(nodes)
        return [Hint(nodes, preferred=len(nodes) == least) for nodes in found]

    def _free(self) -> dict[int, dict[str, int]]:
        free = {node: dict(amounts) for node, amounts in self.allocatable.items()}
        for block in self._all():
            left = block.size
            for node in sorted(block.nodes):
                taken = min(left, free[node].get(block.resource, 0))
                free[node][block.resource] = free[node].get(block.resource, 0) - taken
                left -= taken
        return free

    def _groups(self, nodes: Nodes) -> list[Nodes]:
        """The groups that use one of these nodes."""
        return [block.nodes for block in self._all() if not nodes.isdisjoint(block.nodes)]

    def _all(self) -> Iterator[Block]:
        return (block for of in self.blocks.values() for blocks in of.values() for block in blocks)

    def _reusable(self, pod: Object, nodes: Nodes, resource: str) -> int:
        """What init containers had that end before others of the pod start."""
        own = self.blocks.get(uid_of(pod), {})
        passed = (block for name in _passing(pod) for block in own.get(name, ()))
        return sum(block.size for block in passed if (block.nodes, block.resource) == (nodes, resource))

    def _take_over(self, pod: Object, name: str, blocks: Iterable[Block]) -> None:
        """What is taken over is not held by the init container any more."""
        own = self.blocks.get(uid_of(pod), {})
        for block in blocks:
            left = block.size
            for passing in _passing(pod):
                if passing == name:
                    break
                rest = []
                for other in own.get(passing, ()):
                    is_same = (other.nodes, other.resource) == (block.nodes, block.resource)
                    taken = min(left, other.size) if is_same else 0
                    rest.append(replace(other, size=other.size - taken))
                    left -= taken
                if rest:
                    own[passing] = tuple(rest)


def allocatable(memory: Mapping[int, Amounts], reserved: Mapping[int, Amounts]) -> dict[int, dict[str, int]]:
    """Of what each NUMA node has, without what is reserved there; huge pages are no memory any more."""
    found = {}
    for node, amounts in memory.items():
        kept = reserved.get(node, {})
        found[node] = {name: amount - kept.get(name, 0) for name, amount in amounts.items()}
        found[node]["memory"] -= sum(amount for name, amount in amounts.items() if name != "memory")
    return found


def _has(amounts: Mapping[int, Amounts], nodes: Nodes, asked: Amounts) -> bool:
    return all(sum(amounts[node].get(what, 0) for node in nodes) >= size for what, size in asked.items())


def _at_least(hint: Hint, best: Hint, kind: str) -> Hint:
    """What is agreed on as preferred must stay so."""
    if hint.preferred and not best.preferred:
        raise CannotProvide(f"[memorymanager] failed to find the {kind} preferred hint")
    return best


def _best(possible: Iterable[Hint]) -> Hint:
    return min(possible, key=lambda hint: (not hint.preferred, narrowness(hint.nodes or ())))


def _is_placed(pod: Object) -> bool:
    return not pod["spec"].get("resources") and qos_class(pod) == "Guaranteed"


def _asked(container: Object) -> Amounts:
    requests = dig(container, "resources", "requests", default={})
    return {n: value_of(a) for n, a in requests.items() if n == "memory" or n.startswith("hugepages-")}


def _asked_by_pod(pod: Object) -> Amounts:
    """The most its containers have at a time, of what app containers ask for."""
    sidecars: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in init_containers(pod):
        for name, size in _asked(container).items():
            if is_sidecar(container):
                sidecars[name] = sidecars.get(name, 0) + size
            else:
                most[name] = max(most.get(name, 0), sidecars.get(name, 0) + size)
    apps: dict[str, int] = {}
    for container in app_containers(pod):
        for name, size in _asked(container).items():
            apps[name] = apps.get(name, 0) + size
    return {name: max(most.get(name, 0), size + sidecars.get(name, 0)) for name, size in apps.items()}


def _passing(pod: Object) -> list[str]:
    return [container["name"] for container in init_containers(pod) if not is_sidecar(container)]
