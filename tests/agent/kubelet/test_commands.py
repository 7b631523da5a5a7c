"""What is done to a container without a stream, and whom a request is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.commands import Commands
from pylet.agent.kubelet.reach import Reach, Refused
from pylet.api.object import Object
from pylet.cri.memory import MemoryRuntime, Program, programs
from pylet.cri.messages import ContainerConfig, ContainerMetadata, ImageSpec, SandboxConfig, SandboxMetadata
from tests.agent.kubelet.builders import IMAGE, NOW, container, pod

NAMES = {labels.POD_NAME: "web", labels.POD_NAMESPACE: "default", labels.POD_UID: "u1"}


class Keeping(MemoryRuntime):
    async def checkpoint_container(self, container_id: str, location: str, *, seconds: float) -> None:
        await asyncio.to_thread(Path(location).write_text, f"{seconds}")


async def reach(runtime: MemoryRuntime) -> Reach:
    """A pod whose `main` runs and whose `done` has ended."""
    await runtime.pull_image(IMAGE)
    config = SandboxConfig(metadata=SandboxMetadata("web", "u1", "default", 0), labels=NAMES)
    sandbox = await runtime.run_sandbox(config)
    for name in ("main", "done"):
        of = ContainerConfig(
            metadata=ContainerMetadata(name),
            image=ImageSpec(IMAGE),
            command=("serve",),
            labels={**NAMES, labels.CONTAINER_NAME: name},
        )
        id_ = await runtime.create_container(sandbox, of, config)
        await runtime.start_container(id_)
        if name == "done":
            runtime.crash(id_)
    known: list[Object] = [pod(container(), container("done"))]
    return Reach(runtime, lambda: known)


async def refusal(asked: Awaitable[Any]) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        await asked
    return refused.value.code, str(refused.value)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda to: to.inside("default", "gone", "main"), (404, "pod does not exist")),
        (lambda to: to.inside("default", "web", "done"), (500, 'container not found ("done")')),
        (lambda to: to.inside("default", "web", "other-uid", "main"), (500, 'container not found ("main")')),
        (lambda to: to.sandbox("default", "gone"), (404, "pod does not exist")),
        (lambda to: to.sandbox("default", "web", "other-uid"), (500, 'pod not found ("web_default")')),
    ],
    ids=["no such pod", "it has ended", "of a namesake", "no pod to forward to", "its namesake's"],
)
async def test_who_is_not_to_be_had(ask: Callable[[Reach], Awaitable[Any]], expected: tuple[int, str]) -> None:
    assert await refusal(ask(await reach(MemoryRuntime()))) == expected


async def test_who_runs_is_found() -> None:
    to = await reach(MemoryRuntime())
    assert (await to.inside("default", "web", "u1", "main")).metadata.name == "main"
    [sandbox] = await to.runtime.list_sandboxes()
    assert await to.sandbox("default", "web") == sandbox.id


async def test_a_command_is_run_and_its_failure_told(tmp_path: Path) -> None:
    def program(command: Sequence[str]) -> Program:
        return Program(seconds=0, exit_code=3) if command[0] == "fails" else programs(command)

    commands = Commands(await reach(MemoryRuntime(program=program)), tmp_path)
    assert await commands.run("default", "web", "main", said="echo well done") == b"well done\n"
    failed = await refusal(commands.run("default", "web", "main", said="fails now"))
    assert failed == (500, "command 'fails now' exited with 3: ")


async def test_the_state_of_a_container_is_kept_where_the_runtime_can(tmp_path: Path) -> None:
    async def ask(runtime: MemoryRuntime, name: str = "main", seconds: str = "0") -> Path:
        commands = Commands(await reach(runtime), tmp_path / "checkpoints")
        return await commands.checkpoint("default", "web", name, seconds, NOW)

    made = await ask(Keeping())
    assert made.name == "checkpoint-web_default-main-2026-01-02T03:04:05Z.tar"
    assert made.read_text() == "120"
    assert (await ask(Keeping(), seconds="7")).read_text() == "7"
    failed = "checkpointing of default/web/%s failed (%s)"
    assert await refusal(ask(MemoryRuntime())) == (500, failed % ("main", "the memory runtime keeps no state"))
    assert await refusal(ask(Keeping(), "done")) == (500, failed % ("done", "container done not found"))
    assert await refusal(ask(Keeping(), "none")) == (404, "container none does not exist")
    assert await refusal(ask(Keeping(), seconds="soon")) == (404, "cannot parse value of timeout parameter")
