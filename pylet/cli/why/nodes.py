"""Why a node is not ready, or takes no pods."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api import selector, timestamps
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.object import Key, Object, condition_of, conditions_of, dig
from pylet.cli.why.cause import Cause
from pylet.cli.why.world import World

_PRESSURES = {"MemoryPressure": "memory", "DiskPressure": "disk space", "PIDPressure": "process ids"}


def of_node(node: Object, world: World) -> Iterator[Cause]:
    name = node["metadata"]["name"]
    ready = condition_of(node, "Ready")
    if ready is None:
        yield Cause("its agent has not reported yet")
    elif ready["status"] == "Unknown":
        lease = world.get(LEASE, Key("kube-node-lease", name))
        heard = dig(lease or {}, "spec", "renewTime")
        since = f" for {(world.now - timestamps.parse(heard)).total_seconds():.0f} s" if heard else ""
        advice = f"on {name}: systemctl status pylet-agent; is the server reachable from there?"
        yield Cause(f"its agent has not been heard{since}", advice=advice)
    elif ready["status"] != "True":
        yield Cause(f"its agent says: {ready.get('message', ready.get('reason', ''))}")
    for condition in conditions_of(node):
        if condition["type"] in _PRESSURES and condition["status"] == "True":
            yield Cause(f"it is short of {_PRESSURES[condition['type']]}: {condition.get('message', '')}")
    if dig(node, "spec", "unschedulable"):
        behind = tuple(_kept(name, world))
        yield Cause("it is cordoned: new pods go elsewhere", behind, advice=f"pylet kubectl uncordon {name}")


def _kept(node: str, world: World) -> Iterator[Cause]:
    """Its pods that a budget keeps from being evicted."""
    from pylet.cli.why.others import of_budget

    for budget in world.select(BUDGET):
        meta = budget["metadata"]
        chosen = selector.from_object(budget["spec"].get("selector"))
        pods = [pod for pod in world.select(POD, meta["namespace"], chosen) if pod["spec"].get("nodeName") == node]
        if pods and (why := tuple(of_budget(budget, world))):
            named = ", ".join(pod["metadata"]["name"] for pod in pods)
            yield Cause(f"the budget {meta['name']} of {meta['namespace']} keeps {named} there", why)
