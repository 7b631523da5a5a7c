"""What must hold after every single write, whatever is going on; a breach ends the scenario where it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Object, controller_of, dig, is_terminating, owners_of
from pylet.api.podtemplate import is_active, is_ready
from pylet.client.view import Entry
from pylet.server.scheduler.model import counts_on_node
from pylet.server.scheduler.requests import amounts, pod_requests
from tests.sim.cluster import Cluster


class Breach(AssertionError):
    pass


def one_owner(cluster: Cluster) -> None:
    """No object has two controllers, and none changes hands without having been let go."""

    def check(before: Entry | None, after: Entry | None) -> None:
        if after is None:
            return
        controllers = [owner for owner in owners_of(after.object) if owner.get("controller")]
        if len(controllers) > 1:
            raise Breach(f"{after.key} has {len(controllers)} controllers")
        was = controller_of(before.object) if before is not None and before.uid == after.uid else None
        if was is not None and controllers and controllers[0]["uid"] != was["uid"]:
            raise Breach(f"{after.key} was taken from {was['name']} by {controllers[0]['name']}")

    cluster.watch(POD, check)
    cluster.watch(REPLICA_SET, check)


def one_place(cluster: Cluster) -> None:
    """A pod never changes its node, and no node holds more than it has room for."""

    def check(before: Entry | None, after: Entry | None) -> None:
        if after is None or not (node := dig(after.object, "spec", "nodeName")):
            return
        if (
            before is not None
            and before.uid == after.uid
            and dig(before.object, "spec", "nodeName") not in (None, node)
        ):
            raise Breach(f"{after.key} moved to {node}")
        pods = [pod for pod in cluster.view.with_field(POD, "spec.nodeName", node) if counts_on_node(pod)]
        room = amounts(dig(cluster.get(NODE, node, ""), "status", "allocatable"))
        taken = Counter({"pods": len(pods)})
        for pod in pods:
            taken.update(pod_requests(pod))
        for name, amount in taken.items():
            if amount > room.get(name, 0):
                raise Breach(f"{node} has room for {room.get(name, 0)} {name}, not for {amount}")

    cluster.watch(POD, check)


class Availability:
    """The pods with a label stay between a floor of available ones and a ceiling of all."""

    def __init__(self, cluster: Cluster, label: tuple[str, str], floor: int, ceiling: int) -> None:
        self.floor, self.ceiling = floor, ceiling
        self._cluster = cluster
        self._name, self._value = label
        cluster.watch(POD, self._check)

    def pods(self) -> list[Object]:
        return [pod for pod in self._cluster.pods() if pod["metadata"].get("labels", {}).get(self._name) == self._value]

    def _check(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is None or entry.labels.get(self._name) != self._value:
            return
        counts = count(self.pods())
        if counts["available"] < self.floor:
            raise Breach(f"{counts['available']} available pods, at least {self.floor} are asked for")
        if counts["active"] > self.ceiling:
            raise Breach(f"{counts['active']} pods, at most {self.ceiling} are allowed")


def count(pods: Iterable[Object]) -> Counter[str]:
    found: Counter[str] = Counter()
    for pod in pods:
        found["active"] += is_active(pod)
        found["available"] += is_ready(pod) and not is_terminating(pod)
    return found


def no_orphans(cluster: Cluster) -> None:
    """Nothing is left whose owners are all gone; to be asked of a settled cluster."""
    present = {entry.uid for table in cluster.tables.values() for entry in table.entries.values()}
    for kind, table in cluster.tables.items():
        for entry in table.entries.values():
            if entry.owner_uids and present.isdisjoint(entry.owner_uids):
                raise Breach(f"{kind.plural} {entry.key} outlived its owners")
