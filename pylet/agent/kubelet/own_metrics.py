"""`/metrics` and `/metrics/probes`: what this kubelet has to do, and did. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pylet.agent.kubelet.exposition import Sample, family
from pylet.agent.kubelet.stats import NodeUse
from pylet.api.object import Object


def probe_metrics(asked: Iterable[tuple[Object, str, str, str, int]]) -> str:
    """`/metrics/probes`, of each pod, container, probe and result."""
    samples: list[Sample] = []
    for pod, container, probe, result, times in asked:
        meta = pod["metadata"]
        labels = {"container": container, "namespace": meta["namespace"], "pod": meta["name"], "pod_uid": meta["uid"]}
        samples.append(({**labels, "probe_type": probe, "result": result}, times, None))
    help_ = "Cumulative number of a liveness, readiness or startup probe for a container by result."
    return "\n".join((*family("prober_probe_total", "counter", help_, samples), ""))


def kubelet_metrics(node: NodeUse) -> str:
    """`/metrics`: how much this kubelet has to do."""
    containers = sum(len(use.containers) for use in node.pods)
    lines = (
        *family(
            "kubelet_node_name", "gauge", "The node's name. The count is always 1.", [({"node": node.name}, 1, None)]
        ),
        *family(
            "kubelet_running_containers",
            "gauge",
            "Number of containers currently running",
            [({"container_state": "running"}, containers, None)],
        ),
        *family(
            "kubelet_running_pods",
            "gauge",
            "Number of pods that have a running pod sandbox",
            [({}, len(node.pods), None)],
        ),
    )
    return "\n".join(lines) + "\n"
