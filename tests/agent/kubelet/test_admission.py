"""What this node takes, and what is left of pods it no longer knows."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.admission import Abilities, Home, refusal
from pylet.agent.kubelet.orphans import orphan_pods
from pylet.api.object import Object
from pylet.cri.messages import Container, ContainerMetadata, Sandbox
from tests.agent.kubelet.builders import container, pod

APPARMOR = container(securityContext={"appArmorProfile": {"type": "RuntimeDefault"}})


def with_sysctl(name: str, **spec: object) -> Object:
    return pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}, **spec)


NODE: Object = {
    "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
    "status": {"allocatable": {"cpu": "2", "pods": "110"}},
}


def asking(cpu: str, name: str = "web") -> Object:
    return pod(container(resources={"requests": {"cpu": cpu}}), meta={"name": name, "uid": name})


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (pod(), None),
        (with_sysctl("net.ipv4.tcp_syncookies"), None),
        (with_sysctl("net/ipv4/tcp_syncookies"), None),
        (with_sysctl("kernel.msgmax"), ("SysctlForbidden", 'forbidden sysctl: "kernel.msgmax" not allowlisted')),
        (
            with_sysctl("net.ipv4.tcp_syncookies", hostNetwork=True),
            ("SysctlForbidden", 'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host net enabled'),
        ),
        (pod(APPARMOR), ("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")),
        (asking("500m"), None),
        (
            asking("501m"),
            ("OutOfcpu", "Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000"),
        ),
        (
            pod(os={"name": "windows"}),
            ("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"),
        ),
        (
            pod(meta={"labels": {"kubernetes.io/os": "windows"}}),
            (
                "PodOSSelectorNodeLabelDoesNotMatch",
                "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
            ),
        ),
    ],
    ids=[
        "plain",
        "safe",
        "safe, with slashes",
        "unsafe",
        "the host's",
        "AppArmor",
        "what is left",
        "more than is left",
        "another system",
        "another system by its label",
    ],
)
def test_what_a_node_takes(of: Object, expected: tuple[str, str] | None) -> None:
    assert refusal(of, Home(node=NODE, others=[asking("1500m", "other")])) == expected


def on_port(port: int, address: str = "", name: str = "web") -> Object:
    asked = {"containerPort": 80, "hostPort": port, "protocol": "TCP", "hostIP": address}
    return pod(container(ports=[asked]), meta={"name": name, "uid": name})


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (on_port(8080), "NodePorts"),
        (on_port(8080, "192.0.2.9"), "NodePorts"),
        (on_port(8081), None),
        (pod(nodeSelector={"disk": "ssd"}, tolerations=[{"operator": "Exists"}]), None),
        (pod(nodeSelector={"disk": "hdd"}), "NodeAffinity"),
    ],
)
def test_what_is_taken_and_where_it_belongs(of: Object, reason: str | None) -> None:
    refused = refusal(of, Home(node=NODE, others=[on_port(8080, name="other")]))
    assert refused is None if reason is None else refused is not None and refused[0] == reason


def test_a_taint_that_ends_pods_lets_none_in_but_static_ones() -> None:
    node = {**NODE, "spec": {"taints": [{"key": "broken", "effect": "NoExecute"}]}}
    said = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
    assert refusal(pod(), Home(node=node)) == ("TaintToleration", said)
    assert refusal(pod(meta={"annotations": {"kubernetes.io/config.source": "file"}}), Home(node=node)) is None


def test_an_orphan_keeps_its_grace_and_its_hook() -> None:
    names = {labels.POD_NAME: "web", labels.POD_NAMESPACE: "default", labels.POD_UID: "u1"}
    notes = {labels.TERMINATION_GRACE: "7", labels.PRE_STOP: '{"exec":{"command":["bye"]}}'}
    left = Container(id="c", metadata=ContainerMetadata("main"), labels=names, annotations=notes)
    assert orphan_pods([Sandbox(labels=names)], [left], {"u1"}) == []
    [found] = orphan_pods([Sandbox(labels=names)], [left], set())
    assert found["spec"] == {
        "containers": [{"name": "main", "lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}}],
        "terminationGracePeriodSeconds": 7,
    }


def test_sysctls_that_the_node_lets_pods_set() -> None:
    home = Home(Abilities(unsafe_sysctls=("kernel.msg*", "net.core.somaxconn")))
    for name, is_allowed in (("kernel.msgmax", True), ("net/core/somaxconn", True), ("net.core.other", False)):
        assert (refusal(with_sysctl(name), home) is None) is is_allowed
    assert refusal(with_sysctl("kernel.msgmax", hostIPC=True), home) is not None
