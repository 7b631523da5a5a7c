"""Near which NUMA nodes a container could get its devices. Pure.

Source: upstream `pkg/kubelet/cm/devicemanager/topology_hints.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pylet.agent.kubelet.devices.ledger import Ledger
from pylet.agent.kubelet.placement.hints import Hint, Hints, hints_for


def device_hints(
    ledger: Ledger,
    asked: Mapping[str, int],
    held: Mapping[str, Collection[str]],
    reusable: Mapping[str, Collection[str]],
    nodes: Collection[int],
) -> Hints:
    """By resource, as are the amounts `asked`, ids `held` already and those `reusable`; `nodes` are the machine's."""
    return {
        name: _hints(ledger, name, count, held.get(name, ()), reusable.get(name, ()), nodes)
        for name, count in asked.items()
    }


def _hints(
    ledger: Ledger, name: str, count: int, held: Collection[str], reusable: Collection[str], nodes: Collection[int]
) -> list[Hint] | None:
    resource = ledger.resources.get(name)
    near = {id_: device.numa for id_, device in resource.devices.items()} if resource is not None else {}
    if resource is None or not any(near.values()):
        return None
    places = {node for its in near.values() for node in its} & set(nodes) or nodes
    if held:
        return hints_for(count, places, near, [id_ for id_ in held if id_ in near]) if len(held) == count else []
    free = resource.healthy - ledger.in_use(name)
    if len(free | set(reusable)) < count:
        return []
    return hints_for(count, places, near, free, [id_ for id_ in reusable if id_ in near])
