"""How containers end: their hook, their turn, their grace."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.stopping import NotStopped, Stopper, grace_seconds
from pylet.api.object import Object
from pylet.cri.interface import CriError, DeadlineExceeded
from pylet.cri.messages import ExecResult
from tests.agent.kubelet.builders import container, instance, observed, pod, sidecar, terminating


class Machine:
    """A runtime that notes what was asked of it, on a clock that its commands move."""

    def __init__(self, hook_seconds: float = 0.0) -> None:
        self.asked: list[str] = []
        self.told: list[str] = []
        self._now = 0.0
        self._hook_seconds = hook_seconds
        self.refused: dict[str, str] = {}

    def monotonic(self) -> float:
        return self._now

    async def exec_sync(self, container_id: str, command: list[str], *, timeout_seconds: float) -> ExecResult:
        self.asked.append(f"exec {command[0]}")
        self._now += min(self._hook_seconds, timeout_seconds)
        if self._hook_seconds > timeout_seconds:
            raise DeadlineExceeded("too long")
        return ExecResult(exit_code=0)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        self.asked.append(f"stop {container_id} {grace_seconds}")
        self._refuse(container_id)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        self.asked.append(f"sandbox {sandbox_id}")
        self._refuse(sandbox_id)

    def _refuse(self, id_: str) -> None:
        if id_ in self.refused:
            raise CriError(self.refused[id_])

    def tell(self, of: Object, type_: str, reason: str, message: str) -> None:
        self.told.append(f"{reason}: {message}")


def stopper(machine: Machine) -> Stopper:
    return Stopper(machine, machine, machine.tell)  # type: ignore[arg-type]


HOOKED = container(lifecycle={"preStop": {"exec": {"command": ["bye"]}}})


async def test_a_hook_runs_first_and_its_time_counts() -> None:
    machine = Machine(hook_seconds=10)
    await stopper(machine).stop(pod(HOOKED), Target("main-0", "", {}), "main", "Stopping container main", 30)
    assert machine.asked == ["exec bye", "stop main-0 20"]
    assert machine.told == ["Killing: Stopping container main"]


async def test_a_hook_that_takes_all_the_time_leaves_two_seconds() -> None:
    machine = Machine(hook_seconds=60)
    await stopper(machine).stop(pod(HOOKED), Target("main-0", "", {}), "main", "Stopping container main", 30)
    assert machine.asked == ["exec bye", "stop main-0 2"]


async def test_without_grace_there_is_no_hook() -> None:
    machine = Machine()
    await stopper(machine).stop(pod(HOOKED), Target("main-0", "", {}), "main", "Stopping container main", 0)
    assert machine.asked == ["stop main-0 2"]


async def test_sidecars_end_after_the_app_in_reverse_order() -> None:
    machine = Machine()
    of = pod(init=(sidecar("first"), sidecar("second")))
    seen = observed(instance("first"), instance("second"), instance())
    await stopper(machine).stop_pod(of, seen, "", 30)
    assert machine.asked == ["stop main-0 30", "stop second-0 30", "stop first-0 30", "sandbox s0"]


async def test_what_does_not_end_keeps_nothing_else_from_ending_and_is_told() -> None:
    machine = Machine()
    machine.refused = {"a-0": 'no "way"', "s0": "no network"}
    with pytest.raises(NotStopped) as failed:
        await stopper(machine).stop_pod(
            pod(container("a"), container("b")), observed(instance("a"), instance("b")), "", 5
        )
    assert machine.asked == ["stop a-0 5", "stop b-0 5", "sandbox s0"]
    assert str(failed.value) == (
        'error killing pod: [failed to "KillContainer" for "a" with KillContainerError: "no \\"way\\"", '
        'failed to "KillPodSandbox" for "u1" with KillPodSandboxError: "no network"]'
    )


def test_a_deletion_says_how_long() -> None:
    assert grace_seconds(pod(terminationGracePeriodSeconds=5)) == 5
    assert grace_seconds(terminating(pod(terminationGracePeriodSeconds=5))) == 30
    assert grace_seconds(pod()) == 30
