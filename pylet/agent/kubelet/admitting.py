"""Whether the node takes a pod that is new on it: `admission` decides, and for a critical pod others have to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pylet.agent.kubelet import admission, counters
from pylet.agent.kubelet.preemption import PREEMPTED, NoVictims, Shortage, victims
from pylet.agent.kubelet.workplace import Node
from pylet.api.errors import ApiError
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object


async def admit(pod: Object, node: Node) -> admission.Refusal | None:
    """Returns once there is room for the pod, or why there is none."""
    async with node.allocations.turn:
        refused = await _refusal(node.allocations.allocated(pod), node)
        if refused is None:
            node.allocations.admit(pod)
        return refused


async def _refusal(pod: Object, node: Node) -> admission.Refusal | None:
    running = others(pod, node)
    home = admission.Home(node.abilities, own_node(node), running, node.closing.is_set())
    refused = admission.refusal(pod, home, admission.EARLY) or await node.provisions.admit(pod)
    home = replace(home, node=node.provisions.with_room(home.node), others=others(pod, node))
    refused = refused or admission.refusal(pod, home, admission.LATER)
    if refused is not None and refused[0] == admission.NODE_AFFINITY:  # labels may have come with the pod
        home = replace(home, node=node.provisions.with_room(await _node_now(node)))
        refused = admission.refusal(pod, home, admission.LATER)
    if refused is None and (short := list(admission.shortages(pod, home))):
        return await _make_room(pod, running, short, node)
    return refused


async def _make_room(
    pod: Object, running: Sequence[Object], short: Sequence[Shortage], node: Node
) -> admission.Refusal | None:
    try:
        leaving = victims(pod, running, short)
    except NoVictims as none:
        words = "Unexpected error while attempting to recover from admission failure: "
        words += f"preemption: error finding a set of pods to preempt: {none}"
        return "UnexpectedAdmissionError", words
    counters.PREEMPTIONS.add(short[0].resource)
    for victim in leaving:
        node.recorder.tell(victim, "Warning", PREEMPTED.reason, PREEMPTED.message)
    await node.end_all(leaving, PREEMPTED, None)
    return None


async def _node_now(node: Node) -> Object:
    """As the API has it; while that is away, as it was known."""
    try:
        return await node.client.get(NODE, Key("", node.settings.node_name))
    except ApiError:
        return own_node(node)


def own_node(node: Node) -> Object:
    """As the API knows it; empty before that."""
    return node.view.get(NODE, Key("", node.settings.node_name)) or {}


def others(pod: Object, node: Node) -> list[Object]:
    """The other pods that this kubelet has admitted and that have not ended, with the resources they were granted."""
    return node.allocations.others(pod, node.pods())
