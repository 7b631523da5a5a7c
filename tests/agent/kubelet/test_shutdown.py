"""Which pods end when before the machine goes down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from pylet.agent.kubelet import counters, logind
from pylet.agent.kubelet.admission import Home, refusal
from pylet.agent.kubelet.closing import Closing
from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.kubelet_config import from_object
from pylet.agent.kubelet.shutdown import Closed, Phase, by_phase
from pylet.aio.clock import VirtualClock
from pylet.api.object import Object
from tests.agent.kubelet.builders import pod
from tests.waiting import until

CRITICAL = 2_000_000_000


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ()),
        ({"shutdownGracePeriod": "30s"}, (Phase(0, 30), Phase(CRITICAL, 0))),
        (
            {"shutdownGracePeriod": "30s", "shutdownGracePeriodCriticalPods": "10s"},
            (Phase(0, 20), Phase(CRITICAL, 10)),
        ),
        (
            {
                "shutdownGracePeriodByPodPriority": [
                    {"priority": 100, "shutdownGracePeriodSeconds": 5},
                    {"priority": 0, "shutdownGracePeriodSeconds": 9},
                ]
            },
            (Phase(0, 9), Phase(100, 5)),
        ),
    ],
)
def test_phases(config: Object, expected: tuple[Phase, ...]) -> None:
    assert from_object(config).shutdown == expected


@pytest.mark.parametrize(
    "config",
    [
        {"shutdownGracePeriod": "5s", "shutdownGracePeriodCriticalPods": "6s"},
        {"shutdownGracePeriod": "500ms"},
        {
            "shutdownGracePeriod": "5s",
            "shutdownGracePeriodByPodPriority": [{"priority": 0, "shutdownGracePeriodSeconds": 1}],
        },
        {"shutdownGracePeriodByPodPriority": [{"priority": 0}]},
    ],
)
def test_phases_that_cannot_be(config: Object) -> None:
    with pytest.raises(BadConfig):
        from_object(config)


@pytest.mark.parametrize("ended", [None, datetime(2026, 1, 1, 0, 1, tzinfo=UTC)])
def test_when_it_was_is_remembered(ended: datetime | None) -> None:
    closed = Closed(datetime(2026, 1, 1, tzinfo=UTC), ended)
    assert Closed.of(closed.to_text()) == closed


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"startTime": "x", "endTime": "0001-01-01T00:00:00Z"}'])
def test_what_is_no_record_of_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Closed.of(text)


def test_pods_end_by_priority_and_none_waits_for_a_phase_without_pods() -> None:
    phases = (Phase(0, 9), Phase(100, 5), Phase(1000, 3), Phase(CRITICAL, 1))
    priorities = {"low": -5, "plain": None, "edge": 100, "middle": 999, "critical": CRITICAL, "above": CRITICAL + 1000}
    pods = [pod(meta={"name": name}, priority=priority) for name, priority in priorities.items()]
    found = [(phase.seconds, [each["metadata"]["name"] for each in group]) for phase, group in by_phase(phases, pods)]
    assert found == [(9, ["low", "plain"]), (5, ["edge", "middle"]), (1, ["critical", "above"])]


def test_a_closing_node_takes_no_pods() -> None:
    assert refusal(pod(), Home(is_closing=True)) == ("NodeShutdown", "Pod was rejected as the node is shutting down.")


@pytest.mark.parametrize("text", [None, "nonsense"], ids=["for the first time", "after a record that nobody can read"])
async def test_a_shutdown_is_recorded_before_pods_end_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    record = tmp_path / "graceful_node_shutdown_state"
    if text is not None:
        record.write_text(text)
    seen: list[Closed] = []

    class Machine:
        settings, clock, closing, tell = SimpleNamespace(root=tmp_path), VirtualClock(), asyncio.Event(), Mock()

        def pods(self) -> list[Object]:
            return [pod(meta={"name": "p"}), {**pod(meta={"name": "q"}), "status": {"phase": "Failed"}}]

        async def end_all(self, pods: list[Object], ending: int, seconds: int) -> None:
            assert [found["metadata"]["name"] for found in pods] == ["p"]
            seen.append(Closed.of(record.read_text()))

    @asynccontextmanager
    async def shutdowns() -> AsyncIterator[AsyncIterator[bool]]:
        async def told() -> AsyncIterator[bool]:
            yield True
            await asyncio.Event().wait()

        yield told()

    monkeypatch.setattr(logind, "allow", AsyncMock())
    monkeypatch.setattr(logind, "lock", AsyncMock())
    monkeypatch.setattr(logind, "shutdowns", shutdowns)
    machine: Any = Machine()
    task = asyncio.create_task(Closing((Phase(0, 9),), machine, Mock()).run())
    began = machine.clock.now()
    await until(lambda: bool(seen) and Closed.of(record.read_text()).ended is not None)
    task.cancel()
    assert seen == [Closed(began)]
    assert Closed.of(record.read_text()).began == began
    assert machine.closing.is_set()


def test_what_a_kubelet_before_did_is_counted(tmp_path: Path) -> None:
    machine: Any = SimpleNamespace(settings=SimpleNamespace(root=tmp_path))
    (tmp_path / "graceful_node_shutdown_state").write_text(Closed(datetime(2026, 1, 1, tzinfo=UTC)).to_text())
    Closing((), machine, Mock())._recall()
    assert (counters.CLOSING_BEGAN.value(), counters.CLOSING_ENDED.value()) == (1767225600, 0)
