"""What a node gives beyond shares: devices of a plugin, and CPUs to one container alone; both outlive a restart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from pylet.agent.kubelet import holdings
from pylet.agent.kubelet.placement.layout import format_cpus, parse_cpus
from pylet.cri import wire
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.device_plugin import NAME, DevicePlugin

KUBELET = {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0", "topologyManagerPolicy": "restricted"}
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: pylet.local/busybox:1
      command: [sh, -c, "echo $DEVICES; ls /dev | grep null[0-9]; ls /mnt; exec sleep 100000"]
      resources: {{limits: {limits}}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), kubelet=KUBELET) as running:
        yield running


def run(cluster: Cluster, name: str, limits: str) -> Any:
    """The pod's status when it runs, or when it has failed."""
    cluster.kubectl("apply", "-f", "-", stdin=POD.format(name=name, limits=limits))

    def settled() -> Any:
        status = cluster.get("pod", name)["status"]
        return status if status.get("phase") in ("Running", "Failed") else None

    return eventually(f"{name} runs or is refused", settled)


def allocatable(cluster: Cluster) -> str:
    return str(cluster.get("node", "node1")["status"]["allocatable"].get(NAME, ""))


def holding(cluster: Cluster, name: str) -> holdings.Container:
    """What the pod's container holds, as the node tells those who watch over it."""
    socket = cluster.server.directory / "data" / "kubelet" / "pod-resources" / "kubelet.sock"
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        get = channel.unary_unary("/v1.PodResourcesLister/Get")
        answer = get(wire.encode(holdings.Asked(name, "default")), timeout=30)
    return wire.decode(holdings.Found, answer).pod_resources.containers[0]


def cpus_of(cluster: Cluster, name: str) -> str:
    """Where the pod's processes may run."""
    status = cluster.kubectl("exec", name, "--", "cat", "/proc/1/status")
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Cpus_allowed_list"))


def test_a_plugins_devices(cluster: Cluster) -> None:
    one = f"{{{NAME}: 1}}"
    with DevicePlugin(cluster.server.directory / "data" / "kubelet" / "device-plugins", 2) as plugin:
        eventually("the plugin registers", plugin.register)
        eventually("the devices are told of", lambda: allocatable(cluster) == "2")
        first, second = run(cluster, "first", one), run(cluster, "second", one)
        given = ["null0", "null0", "os-release"]
        eventually("it has its device", lambda: cluster.kubectl("logs", "first").split() == given)
        assert second["containerStatuses"][0]["allocatedResourcesStatus"] == [
            {"name": NAME, "resources": [{"resourceID": "null1", "health": "Healthy"}]}
        ]
        assert holding(cluster, "first").devices == (holdings.Devices(NAME, ("null0",)),)
        refused = run(cluster, "third", one)
        assert (refused["phase"], refused["reason"]) == ("Failed", "UnexpectedAdmissionError")
        assert f"requested number of devices unavailable for {NAME}. Requested: 1, Available: 0" in refused["message"]

        cluster.server.kill()
        cluster.server.restart()
        eventually("the plugin registers again", plugin.register)
        eventually("its devices are told of again", lambda: allocatable(cluster) == "2")
        assert run(cluster, "fourth", one)["reason"] == "UnexpectedAdmissionError"
        again = cluster.get("pod", "first")["status"]
        assert again["containerStatuses"][0]["containerID"] == first["containerStatuses"][0]["containerID"]

        plugin.health("null1", "Unhealthy")
        eventually("an unhealthy device is not for pods", lambda: allocatable(cluster) == "1")
        cluster.kubectl("delete", "pod", "first")
        fifth = run(cluster, "fifth", one)
        assert fifth["phase"] == "Running", fifth["message"]
        eventually("it has the free one", lambda: cluster.kubectl("logs", "fifth").split()[0] == "null0")
        assert plugin.started == [("null0",), ("null1",), ("null0",)]
    eventually("without its plugin no device is for pods", lambda: allocatable(cluster) == "0")


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two CPUs")
def test_cpus_to_one_alone(cluster: Cluster) -> None:
    everything = frozenset(os.sched_getaffinity(0))
    run(cluster, "shared", "{}")
    assert parse_cpus(cpus_of(cluster, "shared")) == everything
    run(cluster, "alone", "{cpu: 1, memory: 32Mi}")
    own = parse_cpus(cpus_of(cluster, "alone"))
    assert len(own) == 1
    assert set(holding(cluster, "alone").cpu_ids) == own
    others = format_cpus(everything - own)
    eventually("others make room", lambda: cpus_of(cluster, "shared") == others)
    cluster.server.kill()
    cluster.server.restart()
    eventually("the API answers", lambda: run(cluster, "later", "{}"))
    assert cpus_of(cluster, "later") == others
    cluster.kubectl("delete", "pod", "alone")
    eventually("they have it back", lambda: parse_cpus(cpus_of(cluster, "shared")) == everything)
