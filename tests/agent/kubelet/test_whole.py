"""What is told of a pod as a whole."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet import whole
from pylet.api.object import Object
from tests.agent.kubelet.builders import container, pod

A = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
B = {"requests": {"cpu": "150m"}, "limits": {"cpu": "300m"}}
OWN = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
OVERHEAD = {"cpu": "50m", "memory": "16Mi"}


def of(*resources: Object, **spec: object) -> Object:
    return pod(*(container(f"c{n}", resources=one) for n, one in enumerate(resources)), **spec)


@pytest.mark.parametrize(
    ("told_of", "before", "running"),
    [
        pytest.param(of({}), {}, {}, id="nothing asked for"),
        pytest.param(of(A), A, A, id="one container"),
        pytest.param(
            of(A, B),
            {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}},
            {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "500m"}},
            id="a limit that not all have is none of the group's",
        ),
        pytest.param(
            of({"requests": {"cpu": "2m"}, "limits": {"cpu": "10m"}}),
            {"requests": {"cpu": "2m"}, "limits": {"cpu": "10m"}},
            {},
            id="as little as a group can have",
        ),
        pytest.param(
            of(A, overhead=OVERHEAD),
            {"requests": {"cpu": "150m", "memory": "80Mi"}, "limits": {"cpu": "250m", "memory": "80Mi"}},
            {"requests": {"cpu": "150m", "memory": "80Mi"}, "limits": {"cpu": "250m", "memory": "80Mi"}},
            id="with overhead",
        ),
        pytest.param(
            of(A, resources=OWN),
            {"requests": OWN["requests"], "limits": {"cpu": "200m", "memory": "2Gi"}},
            {"requests": OWN["requests"], "limits": {"cpu": "200m", "memory": "2Gi"}},
            id="what the pod has of its own comes first",
        ),
        pytest.param(
            of({"requests": {"hugepages-2Mi": "4Mi"}, "limits": {"hugepages-2Mi": "4Mi"}}),
            {"requests": {"hugepages-2Mi": "4Mi"}, "limits": {"hugepages-2Mi": "4Mi"}},
            {},
            id="huge pages are told until it runs",
        ),
    ],
)
def test_of_the_whole_pod(told_of: Object, before: Object, running: Object) -> None:
    assert whole.resources(told_of, is_running=False) == before
    assert whole.resources(told_of, is_running=True) == running
    assert whole.allocated(told_of) == before.get("requests", {})


def test_what_a_pod_has_of_its_own_is_found_in_what_was_told() -> None:
    mine = of(A, resources=OWN, overhead=OVERHEAD)
    told = whole.resources(mine, is_running=True) | {"requests": whole.allocated(mine)}
    assert whole.own_part(mine, told) == OWN
    assert whole.own_part(of(A), whole.resources(of(A), is_running=True)) == {}
