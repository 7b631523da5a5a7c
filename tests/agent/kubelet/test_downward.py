from __future__ import annotations

import pytest

from pylet.agent.kubelet.downward import resource_text
from pylet.api.object import Object

NODE: Object = {"status": {"allocatable": {"memory": "1Gi", "cpu": "4"}}}


@pytest.mark.parametrize(
    ("container", "pod", "text"),
    [
        pytest.param({"memory": "32Mi"}, {"memory": "64Mi"}, "33554432", id="the container's own"),
        pytest.param({}, {"memory": "64Mi"}, "67108864", id="else the pod's"),
        pytest.param({}, {"cpu": "1"}, "1073741824", id="else what the node has"),
    ],
)
def test_a_limit_is_that_which_holds(container: Object, pod: Object, text: str) -> None:
    asks: Object = {"name": "main", "resources": {"limits": container}}
    spec = {"containers": [asks], "resources": {"limits": pod}}
    assert resource_text({"resource": "limits.memory"}, {"metadata": {}, "spec": spec}, NODE, asks) == text
