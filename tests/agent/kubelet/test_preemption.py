"""Who goes for a critical pod, and that a critical pod is not refused for want of room."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.admission import Home, refusal, shortages
from pylet.agent.kubelet.preemption import NoVictims, Shortage, victims
from pylet.api.object import Object
from tests.agent.kubelet.builders import container, pod

CRITICAL = 2_000_000_000


def asking(name: str, requests: Object | None = None, *, guaranteed: bool = False, priority: int = 0) -> Object:
    resources = {"requests": requests, **({"limits": requests} if guaranteed else {})} if requests else {}
    meta = {"name": name, "uid": name}
    return pod(container(resources=resources), meta=meta, priority=priority)


SYSTEM = asking("system", {"cpu": "500m", "memory": "1Gi"}, priority=CRITICAL)
SMALL = asking("small", {"cpu": "100m", "memory": "1Gi"})
MIDDLE = asking("middle", {"cpu": "300m", "memory": "2Gi"})
LARGE = asking("large", {"cpu": "900m", "memory": "3Gi"})
PROMISED = asking("promised", {"cpu": "500m", "memory": "1Gi"}, guaranteed=True)
IDLE = asking("idle")


def cpu(milli: int) -> Shortage:
    return Shortage("cpu", milli, 0, 0)


@pytest.mark.parametrize(
    ("others", "short", "expected"),
    [
        ([SMALL, MIDDLE, LARGE], [cpu(250)], ["middle"]),
        ([SMALL, MIDDLE, LARGE], [cpu(1000)], ["large", "small"]),
        ([PROMISED, LARGE], [cpu(500)], ["large"]),
        ([PROMISED, SMALL], [cpu(500)], ["promised"]),
        ([LARGE, MIDDLE, IDLE], [Shortage("pods", 1, 3, 3)], ["idle"]),
        ([SMALL, LARGE], [cpu(50), Shortage("memory", 2 << 30, 0, 0)], ["large"]),
        ([asking("peer", {"cpu": "1"}, priority=CRITICAL), LARGE], [cpu(500)], ["large"]),
    ],
    ids=[
        "the nearest that is enough",
        "as few as possible",
        "burstable before guaranteed",
        "none goes in vain beside a guaranteed one that is needed",
        "besteffort for a place",
        "of all that is short",
        "no equal",
    ],
)
def test_who_goes(others: list[Object], short: list[Shortage], expected: list[str]) -> None:
    assert [pod["metadata"]["name"] for pod in victims(SYSTEM, others, short)] == expected


def test_nobody_goes_where_all_together_are_not_enough() -> None:
    with pytest.raises(
        NoVictims, match=r"no set of running pods found to reclaim resources: \[\(res: cpu, q: 100\), \]"
    ):
        victims(SYSTEM, [SMALL], [cpu(200)])


def test_a_critical_pod_is_short_of_what_others_are_refused_for() -> None:
    node = {"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "1", "memory": "8Gi", "pods": "110"}}}
    home = Home(node=node, others=[LARGE])
    assert refusal(SYSTEM, home) is None
    assert list(shortages(SYSTEM, home)) == [Shortage("cpu", 500, 900, 1000)]
    assert refusal(asking("other", {"cpu": "500m"}), home) is not None
