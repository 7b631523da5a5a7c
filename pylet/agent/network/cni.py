"""The CNI configuration of a node: a bridge for its pods, addresses out of its own ranges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pylet.aio import wholefile

BRIDGE = "pylet0"
FILE = "10-pylet.conflist"


def conflist(pod_cidrs: Sequence[str], *, mtu: int, data_dir: Path, shapes: bool) -> str:
    """The text of the configuration: a pod has an address of each range; host-local keeps its books in `data_dir`.

    `shapes`: the plugin is there that does as the annotations `kubernetes.io/{ingress,egress}-bandwidth` say.
    """
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": cidr}] for cidr in pod_cidrs],
            "dataDir": str(data_dir),
        },
    }
    bandwidth = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
    content = {"cniVersion": "0.4.0", "name": "pylet", "plugins": [bridge, *([bandwidth] if shapes else [])]}
    return json.dumps(content, indent=2) + "\n"


def write(directory: Path, text: str) -> bool:
    """Put the configuration where the runtime looks; whether it was not there already. Raises: OSError."""
    file = directory / FILE
    if file.exists() and file.read_text() == text:
        return False
    wholefile.write(file, text.encode(), 0o644)
    return True
