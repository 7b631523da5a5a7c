"""What is whose, as files keep it over a restart: upstream's `cpu_manager_state` and `memory_manager_state`.

The forms are upstream's; the checksums are of the data as written here, and what follows from the entries is left out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from pylet.agent.kubelet.placement.cpus import CpuPool
from pylet.agent.kubelet.placement.layout import Inconsistent, format_cpus, parse_cpus
from pylet.agent.kubelet.placement.memory import Block, MemoryPool

CPU_FILE, MEMORY_FILE = "cpu_manager_state", "memory_manager_state"


def cpu_data(pool: CpuPool) -> dict[str, Any]:
    entries = {uid: {name: format_cpus(cpus) for name, cpus in of.items()} for uid, of in pool.assigned.items()}
    return {"policyName": "static", "defaultCpuSet": format_cpus(pool.shared), "entries": entries}


def restore_cpus(pool: CpuPool, data: Mapping[str, Any]) -> None:
    """Raises: Inconsistent."""
    entries = data.get("entries") or {}
    assigned = {uid: {name: parse_cpus(cpus) for name, cpus in of.items()} for uid, of in entries.items()}
    pool.restore(parse_cpus(data["defaultCpuSet"]), assigned)


def memory_data(pool: MemoryPool) -> dict[str, Any]:
    entries = {uid: {name: list(map(_entry, found)) for name, found in of.items()} for uid, of in pool.blocks.items()}
    return {"policyName": "Static", "entries": entries}


def restore_memory(pool: MemoryPool, data: Mapping[str, Any]) -> None:
    """Raises: Inconsistent."""
    entries = data.get("entries") or {}
    blocks = {uid: {name: tuple(map(_block, found)) for name, found in of.items()} for uid, of in entries.items()}
    used = {node for of in blocks.values() for found in of.values() for block in found for node in block.nodes}
    if not used <= pool.allocatable.keys():
        raise Inconsistent(f"this machine has no NUMA nodes {format_cpus(used - pool.allocatable.keys())}")
    pool.blocks = blocks


def text_of(data: Mapping[str, Any]) -> str:
    return json.dumps({**data, "checksum": _checksum(data)}, separators=(",", ":"))


def parse(text: str, policy: str) -> Mapping[str, Any]:
    """Raises: Inconsistent."""
    try:
        found: dict[str, Any] = json.loads(text)
        if found.pop("checksum") != _checksum(found):
            raise Inconsistent("checkpoint is corrupted")
        if found["policyName"] != policy:
            words = f'configured policy "{policy}" differs from state checkpoint policy "{found["policyName"]}"'
            raise Inconsistent(words)
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise (broken if isinstance(broken, Inconsistent) else Inconsistent("checkpoint is corrupted")) from broken
    return found


def _entry(block: Block) -> dict[str, Any]:
    return {"numaAffinity": sorted(block.nodes), "type": block.resource, "size": block.size}


def _block(entry: Mapping[str, Any]) -> Block:
    return Block(frozenset(entry["numaAffinity"]), entry["type"], entry["size"])


def _checksum(data: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())
