"""What a pod keeps on the node's disk, wherever it keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.labels import CONTAINER_NAME, POD_UID
from pylet.agent.kubelet.machine import read_machine
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.storage_limits import exceeded
from pylet.aio.clock import SystemClock
from pylet.cri.memory import MemoryRuntime
from pylet.cri.messages import ContainerMetadata
from pylet.cri.usage import ContainerAttributes, ContainerStats, FilesystemIdentifier, FilesystemUsage
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


class Writing(MemoryRuntime):
    """A container that has 2 MiB in its writable layer and nothing in its log."""

    def __init__(self, images: Path) -> None:
        super().__init__()
        self._images_at = str(images)

    async def container_stats(self) -> tuple[ContainerStats, ...]:
        layer = FilesystemUsage(0, FilesystemIdentifier(self._images_at), 2 << 20, 1)
        names = {POD_UID: "u1", CONTAINER_NAME: "main"}
        return (ContainerStats(ContainerAttributes("c1", ContainerMetadata("main"), names), writable_layer=layer),)

    async def image_filesystems(self) -> tuple[FilesystemUsage, ...]:
        return (FilesystemUsage(0, FilesystemIdentifier(self._images_at), 0, 0),)


@pytest.mark.parametrize(("images", "bytes_"), [(".", 2 << 20), ("/proc", 0)], ids=["one disk", "a disk of images"])
async def test_layers_count_for_a_container_where_the_disk_is_the_node_s_own(
    tmp_path: Path, images: str, bytes_: int
) -> None:
    limited: Any = pod(container("main", resources={"limits": {"ephemeral-storage": "1Mi"}}))

    async def no_volumes(_: str) -> dict[str, Any]:
        return {}

    settings = Settings(node_name="n1", host_ips=(), root=tmp_path, log_root=tmp_path / "logs")
    runtime, machine = Writing(tmp_path / images), read_machine(tmp_path)
    meter = Meter(runtime, SystemClock(), lambda: [limited], settings, machine, no_volumes)
    assert (await meter.kept([limited]))["u1"].containers == {"main": bytes_}
