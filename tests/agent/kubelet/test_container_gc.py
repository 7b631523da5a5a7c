"""Whose containers and logs go where the disk is full: those of pods that are over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pylet.agent.kubelet.config import log_directory
from pylet.agent.kubelet.container_gc import remove_dead
from pylet.agent.kubelet.labels import POD_UID
from pylet.agent.kubelet.settings import Settings
from pylet.api.object import Object
from pylet.cri.memory import MemoryRuntime
from pylet.cri.messages import ContainerConfig, ContainerMetadata, ImageSpec, SandboxConfig, SandboxMetadata
from tests.agent.kubelet.builders import IMAGE, pod, terminating


async def run(runtime: MemoryRuntime, of: Object, settings: Settings, *, ended: bool) -> Path:
    """Its log."""
    uid = of["metadata"]["uid"]
    config = SandboxConfig(metadata=SandboxMetadata("web", uid, "default", 0), labels={POD_UID: uid})
    sandbox = await runtime.run_sandbox(config)
    container = ContainerConfig(
        metadata=ContainerMetadata("main", 1), image=ImageSpec(IMAGE), command=("serve",), labels={POD_UID: uid}
    )
    id_ = await runtime.create_container(sandbox, container, config)
    await runtime.start_container(id_)
    if ended:
        runtime.crash(id_)
        await runtime.stop_sandbox(sandbox)
    log = log_directory(of, settings) / "main" / "1.log"
    log.parent.mkdir(parents=True)
    log.write_text("words")
    return log


async def test_what_ended_for_good_goes_with_its_logs(tmp_path: Path) -> None:
    runtime = MemoryRuntime()
    await runtime.pull_image(IMAGE)
    settings = Settings(node_name="n", host_ips=(), root=tmp_path, log_root=tmp_path / "logs" / "pods")
    phases = {"over": "Succeeded", "failed": "Failed", "crashed": "Running", "runs": "Running", "goes": "Failed"}
    pods = {name: {**pod(meta={"name": name, "uid": name}), "status": {"phase": is_}} for name, is_ in phases.items()}
    pods["goes"] = terminating(pods["goes"])
    logs = {name: await run(runtime, of, settings, ended=name != "runs") for name, of in pods.items()}
    node: Any = SimpleNamespace(pods=lambda: [*pods.values()], runtime=runtime, settings=settings)

    assert await remove_dead(node) == 2
    left = ["crashed", "goes", "runs"]
    assert [name for name, log in sorted(logs.items()) if log.exists()] == left
    assert sorted(c.labels[POD_UID] for c in await runtime.list_containers()) == left
    assert sorted(s.labels[POD_UID] for s in await runtime.list_sandboxes()) == left
    assert await remove_dead(node) == 0
