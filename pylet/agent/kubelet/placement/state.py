"""What is whose of the CPUs, as a file keeps it over a restart: upstream's `cpu_manager_state`.

The form is upstream's; the checksum is of the data as written here.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from pylet.agent.kubelet.placement.cpus import CpuPool, Inconsistent
from pylet.agent.kubelet.placement.layout import format_cpus, parse_cpus

FILE = "cpu_manager_state"


def to_text(pool: CpuPool) -> str:
    data = {
        "policyName": "static",
        "defaultCpuSet": format_cpus(pool.shared),
        "entries": {uid: {name: format_cpus(cpus) for name, cpus in of.items()} for uid, of in pool.assigned.items()},
    }
    return json.dumps({**data, "checksum": checksum(data)}, separators=(",", ":"))


def restore(pool: CpuPool, text: str) -> None:
    """Raises: Inconsistent."""
    try:
        found = json.loads(text)
        if found.pop("checksum") != checksum(found):
            raise Inconsistent("checkpoint is corrupted")
        if found["policyName"] != "static":
            words = f'configured policy "static" differs from state checkpoint policy "{found["policyName"]}"'
            raise Inconsistent(words)
        assigned = {
            uid: {name: parse_cpus(cpus) for name, cpus in of.items()}
            for uid, of in (found.get("entries") or {}).items()
        }
        pool.restore(parse_cpus(found["defaultCpuSet"]), assigned)
    except (KeyError, TypeError, AttributeError) as broken:
        raise Inconsistent(f"checkpoint is corrupted: {broken}") from broken


def checksum(data: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())
