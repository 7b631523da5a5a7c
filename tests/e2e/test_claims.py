"""A device that pods claim one after the other, through a driver that prepares it for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from pylet.agent.kubelet import holdings
from pylet.cri import wire
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.dra_driver import NAME, DraDriver

OBJECTS = f"""
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {{name: gpu}}
spec: {{selectors: [{{cel: {{expression: 'device.driver == "{NAME}"'}}}}]}}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {{name: one}}
spec: {{spec: {{devices: {{requests: [{{name: r, exactly: {{deviceClassName: gpu}}}}]}}}}}}
---
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {{name: node1}}
spec:
  driver: {NAME}
  nodeName: node1
  pool: {{name: p, generation: 1, resourceSliceCount: 1}}
  devices: [{{name: only}}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  resourceClaims: [{{name: gpu, resourceClaimTemplateName: one}}]
  containers:
    - name: main
      image: pylet.local/busybox:1
      command: [sh, -c, "echo $DEVICE; exec sleep 100000"]
      resources: {{claims: [{{name: gpu}}]}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def status(cluster: Cluster, name: str) -> Any:
    return cluster.get("pod", name)["status"]


def is_running(cluster: Cluster, name: str) -> bool:
    return bool(status(cluster, name).get("phase") == "Running")


def claim_of(cluster: Cluster, name: str) -> str:
    return str(status(cluster, name)["resourceClaimStatuses"][0]["resourceClaimName"])


def health(cluster: Cluster, name: str) -> Any:
    told = status(cluster, name)["containerStatuses"][0].get("allocatedResourcesStatus")
    return told and told[0]["resources"]


def held_by(cluster: Cluster, name: str) -> holdings.Pod:
    """As the PodResources API tells it."""
    socket = cluster.server.directory / "data" / "kubelet" / "pod-resources" / "kubelet.sock"
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        get = channel.unary_unary(
            "/v1.PodResourcesLister/Get", wire.encode, lambda answer: wire.decode(holdings.Found, answer)
        )
        found: holdings.Found = get(holdings.Asked(name, "default"), timeout=30)
    return found.pod_resources


def test_one_device_for_two_pods(cluster: Cluster) -> None:
    with DraDriver(cluster.server.directory / "data" / "kubelet") as driver:
        eventually("the driver is registered", lambda: driver.is_registered)
        cluster.kubectl("apply", "-f", "-", stdin=OBJECTS)
        driver.fails = "out of smoke"
        cluster.kubectl("apply", "-f", "-", stdin=POD.format(name="first"))
        failing = "FailedPrepareDynamicResources"
        eventually("it is told that it fails", lambda: failing in cluster.kubectl("get", "events"))
        driver.fails = ""
        eventually("the first pod runs", lambda: is_running(cluster, "first"))
        first = claim_of(cluster, "first")
        assert driver.prepared == [first]
        eventually("it has the device", lambda: cluster.kubectl("logs", "first").strip() == "only")
        driver.tell_health(2, "too hot")
        unwell = {"resourceID": f"{NAME}/device=only", "health": "Unhealthy", "message": "too hot"}
        eventually("its device's health is known", lambda: health(cluster, "first") == [unwell])
        held = held_by(cluster, "first").containers[0].dynamic_resources
        assert [(each.claim_name, each.claim_resources[0].device_name) for each in held] == [(first, "only")]
        cluster.kubectl("apply", "-f", "-", stdin=POD.format(name="second"))
        waiting = "cannot allocate all claims"
        eventually("the second waits", lambda: waiting in str(status(cluster, "second").get("conditions")))
        cluster.server.kill()
        cluster.server.restart()
        eventually("the API answers", lambda: cluster.kubectl("get", "nodes"))
        cluster.kubectl("delete", "pod", "first")
        assert driver.unprepared == [first]

        def runs() -> bool:
            cluster.kubectl("apply", "-f", "-", stdin=OBJECTS)  # a kubelet that starts clears the slices away
            return is_running(cluster, "second")

        eventually("the second pod runs", runs)
        second = claim_of(cluster, "second")
        assert driver.prepared == [first, second]
        cluster.kubectl("delete", "pod", "second")
        assert driver.unprepared == [first, second]
        eventually("no claim is left", lambda: not cluster.get("resourceclaims")["items"])
