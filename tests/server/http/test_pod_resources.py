"""What pods ask for, as `/metrics/resources` tells it."""

from __future__ import annotations

from pylet.api.object import Object
from pylet.server.http.pod_resources import lines


def pod(name: str, phase: str = "Running", node: str = "n", **spec: object) -> Object:
    resources = {"requests": {"cpu": "10m", "memory": "1Mi", "a.example/b": "2"}, "limits": {"memory": "2Mi"}}
    return {
        "metadata": {"namespace": "a", "name": name},
        "spec": {
            "nodeName": node,
            "schedulerName": "s",
            "priority": 5,
            "containers": [{"name": "c", "resources": resources}],
            **spec,
        },
        "status": {"phase": phase},
    }


def test_each_resource_of_a_pod_is_told_with_its_unit() -> None:
    told = [line for line in lines([pod("p", overhead={"cpu": "1"})]) if not line.startswith("#")]
    of = 'namespace="a",node="n",pod="p",priority="5"'
    assert sorted(told) == [
        f'kube_pod_resource_limit{{{of},resource="memory",scheduler="s",unit="bytes"}} 2097152.0',
        f'kube_pod_resource_request{{{of},resource="a.example/b",scheduler="s",unit=""}} 2.0',
        f'kube_pod_resource_request{{{of},resource="cpu",scheduler="s",unit="cores"}} 1.01',
        f'kube_pod_resource_request{{{of},resource="memory",scheduler="s",unit="bytes"}} 1048576.0',
    ]


def test_what_has_ended_takes_nothing() -> None:
    assert not list(lines([pod("p", "Succeeded")]))
    assert list(lines([pod("p", "Pending", node="")]))
