"""The cluster's settings on the node's own disk: for starts without a server, and for `pylet uninstall`."""

from __future__ import annotations

import json
from pathlib import Path

from pylet.aio import wholefile
from pylet.api import clustersettings
from pylet.api.clustersettings import ClusterSettings


def read(data_dir: Path) -> ClusterSettings | None:
    """None where there is nothing, or nothing that can be read."""
    try:
        return clustersettings.from_data(json.loads(_file(data_dir).read_text()))
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def write(data_dir: Path, settings: ClusterSettings) -> None:
    """Writes only what differs: flash is not worn by starts."""
    if read(data_dir) == settings:
        return
    file = _file(data_dir)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    wholefile.write(file, f"{json.dumps(clustersettings.to_data(settings), indent=2)}\n".encode())


def _file(data_dir: Path) -> Path:
    return data_dir / "agent" / "cluster.json"
