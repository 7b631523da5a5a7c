"""Why the scheduler finds no node for a pod: asked of the scheduler's own functions, over the cluster as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pylet.api import taints
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.storageclass import KIND as CLASS
from pylet.api.object import Key, Object, condition_of, dig, labels_of
from pylet.api.volumebinding import class_of, waits_for_consumer
from pylet.cli.why.cause import Cause
from pylet.cli.why.world import World
from pylet.server.scheduler.decide import Broken, Placement, decide
from pylet.server.scheduler.model import Pending, PodInfo, counts_on_node
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.snapshot import Snapshot

_DEFAULT = "default-scheduler"
_SHOWN_NODES = 4


def unplaced(pod: Object, world: World) -> list[Cause]:
    """Of a pod without a node."""
    spec = pod["spec"]
    if gates := [gate["name"] for gate in spec.get("schedulingGates") or ()]:
        return [Cause(f"it is held by scheduling gates: {', '.join(gates)}", advice="whoever set them removes them")]
    if (scheduler := spec.get("schedulerName", _DEFAULT)) != _DEFAULT:
        if said := (condition_of(pod, "PodScheduled") or {}).get("message"):
            return [Cause(f"the scheduler {scheduler} says: {said}")]
        return [Cause(f"it waits for the scheduler {scheduler}", advice="run that scheduler, or name none")]
    snapshot = _snapshot(world)
    pending = Pending(pod)
    try:
        found = decide(pending, snapshot, PROFILE)
    except Broken as broken:
        return [Cause(str(broken))]
    if isinstance(found, Placement):
        return [Cause(f"{found.node} could take it now; the scheduler tries it again within seconds")]
    if not found.nodes:
        return [Cause("the cluster has no nodes", advice="pylet token create, then install.sh agent on a machine")]
    if found.refusal is not None:
        return [Cause(f"no node will do: {', '.join(found.refusal.reasons)}", tuple(_claims(pending, world)))]
    by_reason: dict[str, list[str]] = defaultdict(list)
    for node, refusal in found.refusals.items():
        for reason in refusal.reasons:
            by_reason[reason].append(node)
    causes = [
        Cause(f"{_named(nodes)}: {reason}", tuple(_details(pending, reason, nodes, snapshot, world)))
        for reason, nodes in sorted(by_reason.items())
    ]
    if found.elsewhere:
        causes.append(Cause(f"other nodes: {found.elsewhere}"))
    return causes


def _claims(pod: Pending, world: World) -> Iterator[Cause]:
    """Those of the pod that have no volume, and should before it has a node."""
    from pylet.cli.why.others import of_claim

    for name in pod.claims:
        claim = world.get(CLAIM, Key(pod.namespace, name))
        if claim is None:
            yield Cause(f"the claim {name} does not exist", advice=f"create it in the namespace {pod.namespace}")
        elif not waits_for_consumer(world.get(CLASS, Key("", class_of(claim)))) and (
            why := tuple(of_claim(claim, world))
        ):
            yield Cause(f"the claim {name} has no volume", why)


def _snapshot(world: World) -> Snapshot:
    snapshot = Snapshot(world)
    for node in world.select(NODE):
        snapshot.put_node(node)
    for pod in world.select(POD):
        if (name := dig(pod, "spec", "nodeName")) and counts_on_node(pod):
            snapshot.put_pod(PodInfo(pod), name)
    return snapshot


def _details(pod: Pending, reason: str, nodes: list[str], snapshot: Snapshot, world: World) -> Iterator[Cause]:
    """What would have to be otherwise, node by node."""
    shown = nodes[:_SHOWN_NODES]
    if reason.startswith("Insufficient "):
        resource = reason.removeprefix("Insufficient ")
        asked = pod.requests.get(resource, 0)
        for name in shown:
            node = snapshot.nodes[name]
            free = node.allocatable.get(resource, 0) - node.requested.get(resource, 0)
            yield Cause(f"{name} has {_amount(resource, free)} free, it asks for {_amount(resource, asked)}")
    elif "untolerated taint" in reason:
        for name in shown:
            taint = taints.first_untolerated(
                dig(_node(world, name), "spec", "taints", default=()), pod.tolerations, ("NoSchedule", "NoExecute")
            )
            if taint is not None:
                mark = f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"
                advice = f"tolerate it, or: pylet kubectl taint node {name} {taint['key']}:{taint['effect']}-"
                yield Cause(f"{name} has the taint {mark}", advice=advice)
    elif "node affinity/selector" in reason and (wanted := pod.spec.get("nodeSelector")):
        for name in shown:
            labels = labels_of(_node(world, name))
            missing = [f"{key}={value}" for key, value in wanted.items() if labels.get(key) != value]
            if missing:
                advice = f"pylet kubectl label node {name} {' '.join(missing)}"
                yield Cause(f"{name} lacks the labels {', '.join(missing)}", advice=advice)
    elif "unschedulable" in reason:
        for name in shown:
            yield Cause(f"{name} is cordoned", advice=f"pylet kubectl uncordon {name}")


def _node(world: World, name: str) -> Object:
    return next(node for node in world.select(NODE) if node["metadata"]["name"] == name)


def _amount(resource: str, value: int) -> str:
    if resource == "cpu":
        return f"{value}m" if value % 1000 else str(value // 1000)
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        return f"{value / (1 << 20):.0f}Mi"
    return str(value)


def _named(nodes: list[str]) -> str:
    more = len(nodes) - _SHOWN_NODES
    shown = ", ".join(sorted(nodes)[:_SHOWN_NODES])
    return f"{shown} and {more} more" if more > 0 else shown
