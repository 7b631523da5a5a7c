"""NodeAffinity: nodeSelector and required node affinity allow, preferred node affinity attracts.

`added` is the configuration's addedAffinity: what every pod of the profile asks besides its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.nodeaffinity import allows, matches_any, matches_term, node_names
from pylet.api.object import Object, dig, labels_of
from pylet.server.scheduler.changes import became, is_node
from pylet.server.scheduler.decide import Change, Check, Only, Plugin, Refusal, Score, normalized
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.snapshot import Snapshot

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class NodeAffinity(Plugin):
    name = "NodeAffinity"
    is_local = True
    normalize = staticmethod(normalized)
    _refusal = Refusal(name, ("node(s) didn't match Pod's node affinity/selector",), is_final=True)
    _enforced = Refusal(name, ("node(s) didn't match scheduler-enforced node affinity",), is_final=True)
    _conflict = Refusal(name, ("pod affinity terms conflict",), is_final=True)

    def __init__(self, added: Object | None = None) -> None:
        self._required = dig(added, _REQUIRED, "nodeSelectorTerms")
        self._preferred = dig(added, _PREFERRED, default=[])

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Only | Refusal | None:
        required = dig(pod.spec, "affinity", "nodeAffinity", _REQUIRED)
        if not pod.spec.get("nodeSelector") and required is None and self._required is None:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            if self._required is not None and not matches_any(self._required, node.name, node.labels):
                return self._enforced
            return None if allows(pod.spec, node.name, node.labels) else self._refusal

        names = None if required is None else node_names(required.get("nodeSelectorTerms") or ())
        if names is None:
            return check
        return Only(names, check) if names else self._conflict

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score | None:
        preferred = [*self._preferred, *dig(pod.spec, "affinity", "nodeAffinity", _PREFERRED, default=())]
        if not preferred:
            return None
        return lambda node: sum(
            term["weight"]
            for term in preferred
            if term["weight"] and matches_term(term["preference"], node.name, node.labels)
        )

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        def is_allowed(node: Object) -> bool:
            name, labels = node["metadata"]["name"], labels_of(node)
            if self._required is not None and not matches_any(self._required, name, labels):
                return False
            return allows(pod.spec, name, labels)

        return is_node(change) and became(change, is_allowed)


PLUGIN = NodeAffinity()
