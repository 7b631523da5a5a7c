"""Which pods end when before the machine goes down."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pylet.agent.kubelet.admission import Home, refusal
from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.kubelet_config import from_object
from pylet.agent.kubelet.shutdown import Closed, Phase, by_phase
from pylet.api.object import Object
from tests.agent.kubelet.builders import pod

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
