"""What a kubelet's configuration says of where pods run. Pure.

Source: upstream `pkg/kubelet/cm/{cpumanager,topologymanager}/policy_options.go`, `pkg/kubelet/apis/config/validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pylet.agent.kubelet.placement.cpus import CpuOptions
from pylet.agent.kubelet.placement.layout import Cpus, parse_cpus

_NOTHING: Mapping[Any, Any] = MappingProxyType({})
_CPU_OPTIONS = {
    "full-pcpus-only": "full_cores_only",
    "distribute-cpus-across-numa": "spread_over_numa",
    "strict-cpu-reservation": "strict_reservation",
    "prefer-align-cpus-by-uncorecache": "by_cache",
}
_ALPHA = ("align-by-socket", "distribute-cpus-across-cores")
_LEAST_NUMA_NODES = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """`reserved_memory` is in bytes by NUMA node and resource."""

    cpu_policy: str = "none"
    cpu_options: CpuOptions = CpuOptions()  # noqa: RUF009 - immutable
    reserved_cpus: Cpus = frozenset()
    memory_policy: str = "None"
    reserved_memory: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    topology_policy: str = "none"
    topology_scope: str = "container"
    prefers_closest: bool = False
    most_numa_nodes: int = _LEAST_NUMA_NODES

    @property
    def is_idle(self) -> bool:
        """Whether pods run wherever the kernel puts them."""
        return (self.cpu_policy, self.memory_policy) == ("none", "None") and self.topology_policy == "none"


def settings(value: Mapping[str, Any]) -> Settings:
    """Of a configuration's fields those of FIELDS, each through its reader. Raises: ValueError."""
    topology = value.get("topologyManagerPolicyOptions", _NOTHING)
    for name in topology.keys() - {"prefer-closest-numa-nodes", "max-allowable-numa-nodes"}:
        raise ValueError(f'topologyManagerPolicyOptions: unknown Topology Manager Policy option: "{name}"')
    most = int(topology.get("max-allowable-numa-nodes", _LEAST_NUMA_NODES))
    if most < _LEAST_NUMA_NODES:
        words = f'the minimum value of "max-allowable-numa-nodes" should not be less than {_LEAST_NUMA_NODES}'
        raise ValueError(f"topologyManagerPolicyOptions: {words}")
    return Settings(
        value.get("cpuManagerPolicy", "none"),
        _cpu_options(value.get("cpuManagerPolicyOptions", _NOTHING)),
        value.get("reservedSystemCPUs", frozenset()),
        value.get("memoryManagerPolicy", "None"),
        value.get("reservedMemory", _NOTHING),
        value.get("topologyManagerPolicy", "none"),
        value.get("topologyManagerScope", "container"),
        _is_true("prefer-closest-numa-nodes", topology.get("prefer-closest-numa-nodes", "false")),
        most,
    )


def _cpu_options(asked: Mapping[str, str]) -> CpuOptions:
    for name in asked:
        if name in _ALPHA:
            words = f'CPU Manager Policy Alpha-level Options not enabled, but option "{name}" provided'
            raise ValueError(f"cpuManagerPolicyOptions: {words}")
        if name not in _CPU_OPTIONS:
            raise ValueError(f'cpuManagerPolicyOptions: unknown CPU Manager Policy option: "{name}"')
    options = CpuOptions(**{_CPU_OPTIONS[name]: _is_true(name, text) for name, text in asked.items()})
    if options.by_cache and options.spread_over_numa:
        words = "prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa can not be used at the same time"
        raise ValueError(f"cpuManagerPolicyOptions: static policy options {words}")
    return options


def _is_true(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise ValueError(f'bad value for option "{name}": "{text}"')
    return text.lower() in ("true", "1", "t")


def _one_of(*known: str) -> Callable[[Any], str]:
    def read(text: Any) -> str:
        if text not in known:
            raise ValueError(f'unknown policy: "{text}": {", ".join(known)} are known')
        return str(text)

    return read


def _texts(found: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in found.items()}


def _reserved_memory(found: Any) -> dict[int, dict[str, int]]:
    from pylet.api.quantity import value_of

    kept: dict[int, dict[str, int]] = {}
    for entry in found:
        node = kept.setdefault(int(entry["numaNode"]), {})
        for name, amount in entry["limits"].items():
            if name != "memory" and not name.startswith("hugepages-"):
                raise ValueError(f"the limit type {name!r} is neither memory nor hugepages")
            if not value_of(amount):
                raise ValueError(f"reserved memory may not be zero for NUMA node {entry['numaNode']}, {name!r}")
            if name in node:
                raise ValueError(
                    f"the reserved memory has duplicate limits of {name!r} for NUMA node {entry['numaNode']}"
                )
            node[name] = value_of(amount)
    return kept


FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "cpuManagerPolicy": _one_of("none", "static"),
    "cpuManagerPolicyOptions": _texts,
    "reservedSystemCPUs": parse_cpus,
    "memoryManagerPolicy": _one_of("None", "Static"),
    "reservedMemory": _reserved_memory,
    "topologyManagerPolicy": _one_of("none", "best-effort", "restricted", "single-numa-node"),
    "topologyManagerScope": _one_of("container", "pod"),
    "topologyManagerPolicyOptions": _texts,
}
