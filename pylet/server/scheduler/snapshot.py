"""All nodes and what runs on them, with the counts that plugins ask for, kept up to date change by change. Pure.

A change costs what changed, a question what it asks: who counts pods by labels (spreading, affinity) gets a Tally, made
once by looking at all pods and from then on corrected with each pod that comes or goes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.resourceclaim import KIND as RESOURCE_CLAIM
from pylet.api.object import Key, Object
from pylet.api.selector import LabelSelector
from pylet.client.view import View
from pylet.server.scheduler.model import NodeInfo, PodInfo
from pylet.server.scheduler.terms import Term, Weighted
from pylet.server.scheduler.volumes import Assumed

if TYPE_CHECKING:
    from pylet.server.scheduler.devices.ledger import Ledger

_TALLIES = 256  # remembered: one for each selector somebody spreads by or keeps away from
_SHAPES = 64  # remembered, each with what plugins said of every node
_NODES_OF = 256  # remembered: sets of nodes that pods of some shape spread over
_NAMESPACES = 1024  # of which services are remembered
_ZONE = "topology.kubernetes.io/zone"
T = TypeVar("T")
_NO_LABELS: Mapping[str, str] = {}


class Tally:
    """How many of certain pods are on each node and, summed up on demand, in each domain of a topology."""

    __slots__ = ("_domains", "_epoch", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[str, int] = {}
        self._domains: dict[str, dict[str, int]] = {}
        self._epoch = -1

    def add(self, node: NodeInfo, by: int) -> None:
        _add(self.nodes, node.name, by)
        for key, counts in self._domains.items():
            domain = node.labels.get(key)
            if domain is not None and node.is_known:
                _add(counts, domain, by)

    def by(self, key: str, snapshot: Snapshot) -> Mapping[str, int]:
        """Counts by the value of that node label; domains without any are absent."""
        if self._epoch != snapshot.epoch:
            self._domains.clear()
            self._epoch = snapshot.epoch
        counts = self._domains.get(key)
        if counts is None:
            counts = self._domains[key] = {}
            for name, count in self.nodes.items():
                node = snapshot.nodes.get(name)
                if node is not None and (domain := node.labels.get(key)) is not None:
                    _add(counts, domain, count)
        return counts

    def among(self, nodes: Mapping[str, str]) -> Mapping[str, int]:
        """The same, of those nodes only, whose domains are given."""
        counts: dict[str, int] = {}
        for name, count in self.nodes.items():
            domain = nodes.get(name)
            if domain is not None:
                counts[domain] = counts.get(domain, 0) + count
        return counts


class Followed:
    """A tally of the pods that a predicate holds for. `namespaces` None stands for all."""

    __slots__ = ("matches", "namespaces", "tally")

    def __init__(self, namespaces: Collection[str] | None, matches: Callable[[PodInfo], bool]) -> None:
        self.namespaces = namespaces
        self.matches = matches
        self.tally = Tally()

    def hear(self, pod: PodInfo, node: NodeInfo, by: int) -> None:
        if (self.namespaces is None or pod.namespace in self.namespaces) and self.matches(pod):
            self.tally.add(node, by)


class Supposition:
    """Pods put on a node or taken from it as long as one supposes so."""

    __slots__ = ("_count", "_done", "_node")

    def __init__(self, node: NodeInfo, count: Callable[[PodInfo, NodeInfo, int], None]) -> None:
        self._node = node
        self._count = count
        self._done: list[tuple[PodInfo, int]] = []

    def put(self, pod: PodInfo) -> None:
        self._change(pod, 1)

    def take(self, pod: PodInfo) -> None:
        self._change(pod, -1)

    def undo(self) -> None:
        while self._done:
            pod, by = self._done.pop()
            self._count(pod, self._node, -by)

    def _change(self, pod: PodInfo, by: int) -> None:
        self._count(pod, self._node, by)
        self._done.append((pod, by))


class Snapshot:
    """`epoch` changes when nodes come, go or change their labels or taints, not when pods do."""

    def __init__(self, view: View | None = None) -> None:
        self.view = view or View({})
        self.nodes: dict[str, NodeInfo] = {}
        self.epoch = 0
        self.anti: dict[Term, Tally] = {}
        self.required: dict[Term, Tally] = {}
        self.preferred: dict[Weighted, Tally] = {}
        self.claim_users: dict[Key, int] = {}
        self.image_nodes: dict[str, int] = {}
        self.assumed = Assumed()
        self.devices: Ledger | None = None
        self.nominated: dict[str, dict[str, PodInfo]] = {}
        self._generation = 0
        self._homes: dict[str, tuple[PodInfo, NodeInfo]] = {}
        self._nominations: dict[str, str] = {}
        self._namespaces: dict[str, dict[str, NodeInfo]] = {}
        self._waiting: dict[str, NodeInfo] = {}  # nodes that are not known (yet), for their pods
        self._followed: OrderedDict[Hashable, Followed] = OrderedDict()
        self._ordered: list[NodeInfo] | None = None
        self._domains: dict[Hashable, Any] = {}
        self._read: dict[Hashable, tuple[int, Any]] = {}
        self._said: OrderedDict[Hashable, dict[str, Any]] = OrderedDict()

    # ---- changes

    def put_node(self, node: Object) -> None:
        name = node["metadata"]["name"]
        info = self.nodes.get(name)
        if info is None:
            info = self._waiting.pop(name, None) or NodeInfo(name)
        before = (info.is_known, info.labels, info.taints, info.unschedulable)
        images = info.images
        info.update(node)
        self._touch(info)
        self.nodes[name] = info
        if images != info.images:
            self._count_images(images, -1)
            self._count_images(info.images, 1)
        if before != (True, info.labels, info.taints, info.unschedulable):
            self._nodes_changed()

    def remove_node(self, name: str) -> None:
        info = self.nodes.pop(name, None)
        if info is None:
            return
        self._count_images(info.images, -1)
        info.images, info.is_known = {}, False
        if info.pods:
            self._waiting[name] = info
        self._nodes_changed()

    def put_pod(self, pod: PodInfo, node: str) -> None:
        home = self._homes.get(pod.uid)
        if home is not None and home[1].name == node and home[0].counts_as(pod):
            self._homes[pod.uid] = pod, home[1]
            home[1].pods[pod.uid] = pod
            return
        self.remove_pod(pod.uid)
        info = self.nodes.get(node)
        if info is None:
            info = self._waiting.setdefault(node, NodeInfo(node))
        self._homes[pod.uid] = pod, info
        self._namespaces.setdefault(pod.namespace, {})[pod.uid] = info
        self._count(pod, info, 1)

    def remove_pod(self, uid: str) -> None:
        home = self._homes.pop(uid, None)
        if home is None:
            return
        pod, info = home
        of_namespace = self._namespaces[pod.namespace]
        del of_namespace[uid]
        if not of_namespace:
            del self._namespaces[pod.namespace]
        self._count(pod, info, -1)
        if not info.pods:
            self._waiting.pop(info.name, None)

    def nominate(self, pod: PodInfo, node: str) -> None:
        """Have the pod count on a node that is being cleared for it; "" takes that back."""
        self.nominate_nowhere(pod.uid)
        if node:
            self._nominations[pod.uid] = node
            self.nominated.setdefault(node, {})[pod.uid] = pod

    def nominate_nowhere(self, uid: str) -> None:
        before = self._nominations.pop(uid, None)
        if before is not None:
            del self.nominated[before][uid]
            if not self.nominated[before]:
                del self.nominated[before]

    @contextmanager
    def supposing(self, node: NodeInfo) -> Iterator[Supposition]:
        """Try how it would be with other pods on that node; afterwards everything is as it was."""
        supposed = Supposition(node, self._count)
        generation, pods = node.generation, node.pods
        node.pods = dict(pods)
        try:
            yield supposed
        finally:
            supposed.undo()
            node.generation, node.pods = generation, pods

    # ---- questions

    def device_ledger(self) -> Ledger:
        """Made when the first pod claims devices, and from then on to be told of claims that change."""
        if self.devices is None:
            from pylet.server.scheduler.devices.ledger import Ledger

            self.devices = Ledger()
            for claim in self.view.select(RESOURCE_CLAIM):
                self.devices.hear(None, claim)
        return self.devices

    def ordered(self) -> list[NodeInfo]:
        """Nodes with their zones taking turns, so that the first so many are from everywhere."""
        if self._ordered is None:
            zones: dict[str, list[NodeInfo]] = {}
            for node in self.nodes.values():
                zones.setdefault(node.labels.get(_ZONE, ""), []).append(node)
            rows = list(zones.values())
            most = max(map(len, rows), default=0)
            self._ordered = [row[at] for at in range(most) for row in rows if at < len(row)]
        return self._ordered

    def home_of(self, uid: str) -> NodeInfo | None:
        home = self._homes.get(uid)
        return None if home is None else home[1]

    def domains(self, key: str) -> Mapping[str, int]:
        """How many nodes each value of a label has."""
        return self._of_nodes(("domains", key), lambda: Counter(self.domains_of(key, None, lambda _: True).values()))

    def domains_of(self, key: str, name: Hashable, takes_part: Callable[[NodeInfo], bool]) -> Mapping[str, str]:
        """The value of a label of each node that has it and takes part; `name` stands for those that do."""
        return self._of_nodes(
            ("nodes", key, name),
            lambda: {
                node.name: domain
                for node in self.nodes.values()
                if (domain := node.labels.get(key)) is not None and takes_part(node)
            },
        )

    def all_have(self, keys: Collection[str]) -> bool:
        return all(sum(self.domains(key).values()) == len(self.nodes) for key in keys)

    def tally(self, name: Hashable, namespaces: Collection[str] | None, matches: Callable[[PodInfo], bool]) -> Tally:
        """Counts of the pods that match, called `name` ever after."""
        found = self._followed.get(name)
        if found is not None:
            self._followed.move_to_end(name)
            return found.tally
        found = Followed(namespaces, matches)
        for namespace in self._namespaces if namespaces is None else namespaces:
            for uid in self._namespaces.get(namespace, ()):
                found.hear(*self._homes[uid], 1)
        self._followed[name] = found
        if len(self._followed) > _TALLIES:
            self._followed.popitem(last=False)
        return found.tally

    def said_of(self, shape: Hashable) -> dict[str, Any]:
        """What plugins said of each node to pods of that shape: theirs to fill, by node name."""
        found = self._said.get(shape)
        if found is None:
            found = self._said[shape] = {}
            if len(self._said) > _SHAPES:
                self._said.popitem(last=False)
        else:
            self._said.move_to_end(shape)
        return found

    def remembered(self, name: Hashable, revision: int, read: Callable[[], T]) -> T:
        """What `read` gives, read again only when `revision` is another."""
        found = self._read.get(name)
        if found is None or found[0] != revision:
            found = self._read[name] = (revision, read())
            _bound(self._read, _NAMESPACES)
        value: T = found[1]
        return value

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        entry = self.view.table(NAMESPACE).entries.get(Key("", name))
        return _NO_LABELS if entry is None else entry.labels

    def namespaces(self, selector: LabelSelector) -> Iterator[str]:
        for key, entry in self.view.table(NAMESPACE).entries.items():
            if selector(entry.labels):
                yield key.name

    # ---- keeping count

    def _count(self, pod: PodInfo, node: NodeInfo, by: int) -> None:
        node.count(pod, by)
        self._touch(node)
        for followed in self._followed.values():
            followed.hear(pod, node, by)
        for claim in pod.claims:
            _add(self.claim_users, Key(pod.namespace, claim), by)
        if pod.affinity.anti:
            self._count_terms(self.anti, pod.affinity.anti, node, by)
        if pod.affinity.required:
            self._count_terms(self.required, pod.affinity.required, node, by)
        if pod.affinity.preferred:
            self._count_terms(self.preferred, pod.affinity.preferred, node, by)

    def _count_terms(self, tallies: dict[Any, Tally], terms: Iterable[Any], node: NodeInfo, by: int) -> None:
        for term in terms:
            tally = tallies.get(term)
            if tally is None:
                tally = tallies[term] = Tally()
            tally.add(node, by)
            if not tally.nodes:
                del tallies[term]

    def _count_images(self, images: Iterable[str], by: int) -> None:
        for name in images:
            _add(self.image_nodes, name, by)

    def _of_nodes(self, name: Hashable, work_out: Callable[[], T]) -> T:
        found: T | None = self._domains.get(name)
        if found is None:
            found = self._domains[name] = work_out()
            _bound(self._domains, _NODES_OF)
        return found

    def _touch(self, node: NodeInfo) -> None:
        self._generation += 1
        node.generation = self._generation

    def _nodes_changed(self) -> None:
        self.epoch += 1
        self._ordered = None
        self._domains.clear()


def _bound(remembered: dict[Hashable, Any], most: int) -> None:
    """First in, first out."""
    if len(remembered) > most:
        del remembered[next(iter(remembered))]


def _add(counts: dict[Any, int], name: Any, by: int) -> None:
    """Counts hold no zeros: what is absent is not there."""
    count = counts.get(name, 0) + by
    if count:
        counts[name] = count
    else:
        counts.pop(name, None)
