"""Machines of several shapes; threads of a core are half the machine apart, as Linux counts them."""

from __future__ import annotations

from collections.abc import Callable

from pylet.agent.kubelet.placement.layout import Cpu, Layout

GI = 1 << 30


def machine(cpus: int, cores: int, numa: Callable[[int], int], socket: Callable[[int], int], caches: int = 1) -> Layout:
    """`numa` and `socket` by core."""
    found = {}
    for cpu in range(cpus):
        core = cpu % cores
        found[cpu] = Cpu(cpu, core, socket(core), numa(core), core * caches // cores)
    nodes = {node: {"memory": 10 * GI} for node in {cpu.numa for cpu in found.values()}}
    return Layout(found, nodes)


ONE_SOCKET = machine(8, 4, lambda _: 0, lambda _: 0)
TWO_SOCKETS = machine(12, 6, lambda core: core % 2, lambda core: core % 2)
FOUR_NODES = machine(80, 40, lambda core: core // 10, lambda core: core // 20)
TWO_CACHES = machine(16, 8, lambda _: 0, lambda _: 0, caches=2)
NO_THREADS = machine(4, 4, lambda core: core // 2, lambda core: core // 2)
