"""The devices granted, as a file keeps them over a restart: upstream's `kubelet_internal_checkpoint`.

The form is upstream's (others read it); the checksum is of the data as written here.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from pylet.agent.kubelet.devices.ledger import Grant, Ledger, Resource
from pylet.agent.kubelet.devices.messages import Given
from pylet.cri import wire

FILE = "kubelet_internal_checkpoint"


class Corrupt(ValueError):
    """The file is not what was written."""


def to_text(ledger: Ledger) -> str:
    data = {
        "PodDeviceEntries": [
            {
                "PodUID": uid,
                "ContainerName": container,
                "ResourceName": name,
                "DeviceIDs": {str(node): list(ids) for node, ids in grant.numa.items()},
                "AllocResp": base64.b64encode(wire.encode(grant.given)).decode(),
            }
            for uid, containers in ledger.grants.items()
            for container, grants in containers.items()
            for name, grant in grants.items()
        ],
        "RegisteredDevices": {name: sorted(found.healthy) for name, found in ledger.resources.items()},
    }
    return json.dumps({"Data": data, "Checksum": _checksum(data)}, separators=(",", ":"))


def from_text(text: str, now: float) -> Ledger:
    """What was granted, by plugins that have yet to come back. Raises: Corrupt."""
    try:
        found = json.loads(text)
        data = found["Data"]
        if found["Checksum"] != _checksum(data):
            raise Corrupt("checkpoint is corrupted: its checksum does not match")
        ledger = Ledger({name: Resource(stopped_at=now) for name in data["RegisteredDevices"] or {}})
        for entry in data["PodDeviceEntries"] or ():
            numa = {int(node): tuple(ids) for node, ids in entry["DeviceIDs"].items()}
            given = wire.decode(Given, base64.b64decode(entry["AllocResp"]))
            containers = ledger.grants.setdefault(entry["PodUID"], {})
            containers.setdefault(entry["ContainerName"], {})[entry["ResourceName"]] = Grant(numa, given)
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise Corrupt(f"checkpoint is corrupted: {broken}") from broken
    return ledger


def _checksum(data: Any) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())
