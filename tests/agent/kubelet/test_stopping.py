"""How containers end: their hook, their turn, their grace."""

from __future__ import annotations

import asyncio

import pytest

from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.stopping import NotStopped, Stopper, grace_seconds
from pylet.api.object import Object
from pylet.cri.interface import CriError
from pylet.cri.messages import ExecResult
from tests.agent.kubelet.builders import container, instance, observed, pod, sidecar, terminating
from tests.sim import virtual


class Machine:
    """A runtime that notes what was asked of it; its containers take all the time they are given where `is_slow`."""

    def __init__(self, hook_seconds: float = 0.0, hook_exit_code: int = 0, *, is_slow: bool = False) -> None:
        self.asked: list[str] = []
        self.told: list[str] = []
        self.hooked_seconds = 0.0
        self._hook_seconds = hook_seconds
        self._hook_exit_code = hook_exit_code
        self._is_slow = is_slow
        self.refused: dict[str, str] = {}

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def exec_sync(self, container_id: str, command: list[str], *, timeout_seconds: float) -> ExecResult:
        self.asked.append(f"exec {command[0]}")
        begin = self.monotonic()
        try:
            await asyncio.sleep(self._hook_seconds)
        finally:
            self.hooked_seconds = self.monotonic() - begin
        return ExecResult(exit_code=self._hook_exit_code)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        self.asked.append(f"stop {container_id} {grace_seconds}")
        self._refuse(container_id)
        if self._is_slow:
            await asyncio.sleep(grace_seconds)

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


def stop_main(machine: Machine, grace: int = 30) -> None:
    virtual.run(stopper(machine).stop(pod(HOOKED), Target("main-0", "", {}), "main", "Stopping container main", grace))


def test_a_hook_runs_first_and_its_time_counts() -> None:
    machine = Machine(hook_seconds=10)
    stop_main(machine)
    assert machine.asked == ["exec bye", "stop main-0 20"]
    assert machine.told == ["Killing: Stopping container main"]


def test_a_hook_that_fails_is_told() -> None:
    machine = Machine(hook_exit_code=1)
    stop_main(machine)
    assert machine.told == ["Killing: Stopping container main", "FailedPreStopHook: PreStopHook failed"]


def test_a_hook_that_takes_all_the_time_leaves_two_seconds_and_lasts_as_long_as_its_container() -> None:
    machine = Machine(hook_seconds=60, is_slow=True)
    stop_main(machine)
    assert machine.asked == ["exec bye", "stop main-0 2"]
    assert machine.hooked_seconds == 32
    assert machine.told == ["Killing: Stopping container main"]


def test_without_grace_there_is_no_hook() -> None:
    machine = Machine()
    stop_main(machine, grace=0)
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
