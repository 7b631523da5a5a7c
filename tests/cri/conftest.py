"""Both runtimes behind one fixture: the simulation, and a private containerd where the machine can run one."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pylet.agent.image_archive import BUSYBOX_REFERENCE
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.cri.grpc import GrpcRuntime
from pylet.cri.interface import Runtime
from pylet.cri.memory import MemoryRuntime
from tests.containerd import ContainerdProcess, Netns

CGROUP = f"/pylet-cri-{os.getpid()}"
CAN_RUN_CONTAINERD = os.geteuid() == 0 and shutil.which("containerd") is not None


@pytest.fixture(scope="session")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerdProcess]:
    directory = Path(tmp_path_factory.mktemp("containerd"))
    with Netns(f"pylet-cri-{os.getpid()}") as netns:
        process = ContainerdProcess(directory, netns.name)
        try:
            process.start()
            process.load()
            process.write_ptp_cni()
            yield process
        finally:
            process.stop()
            Cgroups().remove(CGROUP)


@pytest.fixture(params=["memory", pytest.param("grpc", marks=pytest.mark.skipif(not CAN_RUN_CONTAINERD, reason=""))])
async def runtime(request: pytest.FixtureRequest) -> AsyncIterator[Runtime]:
    if request.param == "memory":
        memory = MemoryRuntime(registry=frozenset({BUSYBOX_REFERENCE}))
        await memory.pull_image(BUSYBOX_REFERENCE)
        yield memory
        return
    process: ContainerdProcess = request.getfixturevalue("containerd")
    real = GrpcRuntime(str(process.socket))
    yield real
    for sandbox in await real.list_sandboxes():
        await real.stop_sandbox(sandbox.id)
        await real.remove_sandbox(sandbox.id)
    await real.close()
