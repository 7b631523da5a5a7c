"""Read the machine's layout from /sys."""

from __future__ import annotations

import re
from pathlib import Path

from pylet.agent.kubelet.placement.layout import Cpu, Layout, parse_cpus

_SYSTEM = Path("/sys/devices/system")
_NODE = re.compile(r"node(\d+)")


def read_layout(system: Path = _SYSTEM) -> Layout:
    """A machine that tells of no NUMA nodes is one."""
    nodes = {
        int(match[1]): directory
        for directory in (system / "node").glob("node*")
        if (match := _NODE.fullmatch(directory.name))
    }
    numa = {cpu: node for node, directory in nodes.items() for cpu in parse_cpus(_text(directory / "cpulist"))}
    cpus = {}
    for cpu in parse_cpus(_text(system / "cpu" / "online")):
        of = system / "cpu" / f"cpu{cpu}"
        siblings = parse_cpus(_text(of / "topology" / "thread_siblings_list")) or {cpu}
        socket = max(0, int(_text(of / "topology" / "physical_package_id") or 0))
        cache = _text(of / "cache" / "index3" / "id")
        cpus[cpu] = Cpu(cpu, min(siblings), socket, numa.get(cpu, 0), int(cache) if cache else socket)
    distances = {node: tuple(map(int, _text(directory / "distance").split())) for node, directory in nodes.items()}
    return Layout(cpus, {node: _memory(directory) for node, directory in nodes.items()}, distances)


def _memory(node: Path) -> dict[str, int]:
    """Bytes of memory and of huge pages, by resource."""
    total = re.search(r"MemTotal:\s+(\d+) kB", _text(node / "meminfo"))
    found = {"memory": int(total[1]) * 1024 if total else 0}
    for size in (node / "hugepages").glob("hugepages-*kB"):
        kilobytes = int(size.name.removeprefix("hugepages-").removesuffix("kB"))
        unit = (
            f"{kilobytes >> 20}Gi"
            if kilobytes >> 20
            else f"{kilobytes >> 10}Mi"
            if kilobytes >> 10
            else f"{kilobytes}Ki"
        )
        found[f"hugepages-{unit}"] = int(_text(size / "nr_hugepages") or 0) * kilobytes * 1024
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
