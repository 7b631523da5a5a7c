"""What a pod keeps on the node's disk, wherever it keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.machine import read_machine
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.storage_limits import exceeded
from pylet.aio.clock import SystemClock
from pylet.cri.memory import MemoryRuntime
from tests.agent.kubelet.builders import container, pod


@pytest.mark.parametrize("file", ["etc-hosts", "containers/main/0"], ids=["CVE-2020-8557: /etc/hosts", "last words"])
async def test_files_of_the_node_that_a_container_writes_to_are_counted(tmp_path: Path, file: str) -> None:
    limited: Any = pod(containers=[container("main", resources={"limits": {"ephemeral-storage": "1Mi"}})])
    uid = limited["metadata"]["uid"]

    async def no_volumes(_: str) -> dict[str, Any]:
        return {}

    settings = Settings(node_name="n1", host_ips=(), root=tmp_path, log_root=tmp_path / "logs")
    machine = read_machine(tmp_path)
    meter = Meter(MemoryRuntime(), SystemClock(), lambda: [limited], settings, machine, no_volumes)
    written = settings.pod_dir(uid) / file
    written.parent.mkdir(parents=True)
    written.write_bytes(b"x" * (1 << 19))
    assert not exceeded(limited, (await meter.kept([limited]))[uid])
    written.write_bytes(b"x" * (2 << 20))
    assert "exceeds the total limit of containers 1Mi" in exceeded(limited, (await meter.kept([limited]))[uid])
