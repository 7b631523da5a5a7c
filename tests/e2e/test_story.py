"""The user's story on real containers and real packets: apply, reach, look inside, scale, roll back, remove."""

from __future__ import annotations

import json
import sys

import pytest

from tests.e2e.cluster import REPO, Cluster, eventually
from tests.netns import Member

DEFAULT_CAPABILITIES = "00000000a80425fb"
HARMLESS_DEVICES = {
    "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
    "termination-log", "tty", "urandom", "zero",
}  # fmt: skip
HELLO = str(REPO / "examples" / "hello.yaml")


@pytest.fixture(scope="module")
def hello(cluster: Cluster) -> str:
    """The example, running; its cluster address."""
    cluster.kubectl("apply", "-f", HELLO)
    cluster.kubectl("rollout", "status", "deploy/hello", "--timeout=180s")
    address: str = cluster.get("svc", "hello")["spec"]["clusterIP"]
    return address


def fetch(member: Member, url: str) -> str:
    return member.run("curl", "-sS", "-m", "20", url)


def test_pods_run_on_both_nodes(cluster: Cluster, hello: str) -> None:
    assert {pod["spec"]["nodeName"] for pod in cluster.pods("app=hello")} == {"node1", "node2"}


def test_the_cluster_address_answers_from_every_node_and_pod(cluster: Cluster, hello: str) -> None:
    for node in cluster.nodes:
        eventually("the service answers", lambda node=node: "Hello from pylet" in fetch(node.member, f"http://{hello}"))
    for pod in cluster.pods("app=hello"):
        name = pod["metadata"]["name"]
        request = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc {hello} 80"
        assert "Hello from pylet" in cluster.kubectl("exec", name, "--", "sh", "-c", request)
        for other in cluster.pods("app=hello"):
            assert cluster.kubectl("exec", name, "--", "ping", "-c1", "-W10", other["status"]["podIP"])


def test_the_node_port_answers_on_every_node_from_outside(cluster: Cluster, hello: str) -> None:
    for node in cluster.nodes:
        url = f"http://{node.member.ip}:30080"
        assert eventually("the node port answers", lambda url=url: "Hello from pylet" in fetch(cluster.client, url))


def test_a_service_without_endpoints_refuses_at_once(cluster: Cluster) -> None:
    cluster.kubectl("create", "service", "clusterip", "empty", "--tcp=80")
    address = cluster.get("svc", "empty")["spec"]["clusterIP"]

    def is_refused() -> bool:
        with pytest.raises(AssertionError, match="exit 7"):
            fetch(cluster.server.member, f"http://{address}")
        return True

    assert eventually("connections are refused", is_refused)
    cluster.kubectl("delete", "service", "empty")


def test_names_resolve_in_pods(cluster: Cluster, hello: str) -> None:
    for name, address in (("hello", hello), ("kubernetes", "10.43.0.1")):
        lookup = ("exec", "deploy/hello", "--", "nslookup", f"{name}.default.svc.cluster.local")
        eventually(f"{name} is known", lambda lookup=lookup, address=address: address in cluster.kubectl(*lookup))


def test_logs_and_commands_reach_both_nodes(cluster: Cluster, hello: str) -> None:
    for pod in cluster.pods("app=hello"):
        name = pod["metadata"]["name"]
        eventually("it has logged", lambda name=name: "serving on port 8080" in cluster.kubectl("logs", name))
        assert cluster.kubectl("exec", name, "--", "hostname").strip() == name
        assert cluster.kubectl("exec", "-i", name, "--", "cat", stdin="through stdin\n") == "through stdin\n"


def test_commands_need_nothing_older_than_websockets(cluster: Cluster, hello: str) -> None:
    told = cluster.kubectl("exec", "-v=7", "-i", "deploy/hello", "--", "cat", stdin="said\n")
    assert told.endswith("said\n")
    assert "101 Switching Protocols" in told
    assert "v5.channel.k8s.io" in told
    assert "fallback" not in told


def test_a_failed_commands_status_is_passed_on(cluster: Cluster, hello: str) -> None:
    with pytest.raises(AssertionError, match="exit 7"):
        cluster.kubectl("exec", "deploy/hello", "--", "sh", "-c", "exit 7")


def test_a_container_has_no_more_than_it_needs(cluster: Cluster, hello: str) -> None:
    """Upstream's defaults, by which escapes are measured: capabilities, devices, what of the kernel can be read."""
    script = """
        grep -E 'CapEff|CapBnd' /proc/self/status
        mknod /tmp/disk b 7 0 && head -c1 /tmp/disk >/dev/null 2>&1 || echo no disk
        cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | head -c9 | wc -c
        echo 1 2>/dev/null >/proc/sys/vm/drop_caches || echo no sysctls
        group=$(dirname $(find /sys/fs/cgroup -name cgroup.procs | head -n1))
        mkdir $group/mine 2>/dev/null || echo no cgroups
        ls /dev | xargs
    """
    *seen, devices = cluster.kubectl("exec", "deploy/hello", "--", "sh", "-c", script).splitlines()
    assert [line.split() for line in seen] == [
        ["CapEff:", DEFAULT_CAPABILITIES],
        ["CapBnd:", DEFAULT_CAPABILITIES],
        ["no", "disk"],
        ["0"],
        ["no", "sysctls"],
        ["no", "cgroups"],
    ]
    assert set(devices.split()) <= HARMLESS_DEVICES


def test_port_forward_ends_in_the_pod(cluster: Cluster, hello: str) -> None:
    """Never at the node, whose kubelet listens on the port that the second one names."""
    name, machine = cluster.pods("app=hello")[0]["metadata"]["name"], cluster.server.member
    machine.start("kubectl", "--kubeconfig", str(cluster.kubeconfig), "port-forward", name, "18080:8080", "18250:10250")
    eventually("the pod answers", lambda: "Hello from pylet" in fetch(machine, "http://127.0.0.1:18080"))
    with pytest.raises(AssertionError, match=r"exit (35|52|56)"):
        fetch(machine, "https://127.0.0.1:18250/healthz")


def test_node_ports_are_not_on_loopback(cluster: Cluster, hello: str) -> None:
    for node in cluster.nodes:
        with pytest.raises(AssertionError, match="exit 7"):
            fetch(node.member, "http://127.0.0.1:30080")
        assert not node.member.run("sh", "-c", "grep -l 1 /proc/sys/net/ipv4/conf/*/route_localnet", check=False)


def test_a_changed_config_map_reaches_running_pods(cluster: Cluster, hello: str) -> None:
    patch = json.dumps({"data": {"greeting": "Changed"}})
    cluster.kubectl("patch", "configmap", "hello", "-p", patch)
    for pod in cluster.pods("app=hello"):
        name = pod["metadata"]["name"]
        read = ("exec", name, "--", "cat", "/etc/hello/greeting")
        eventually("the file changes", lambda read=read: cluster.kubectl(*read) == "Changed")


def test_a_pod_has_a_token_the_api_accepts(cluster: Cluster, hello: str) -> None:
    token = cluster.kubectl(
        "exec",
        "deploy/hello",
        "--",
        "cat",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        warnings=False,
    ).strip()
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = json.loads(
        cluster.kubectl(
            "create", "--validate=false", "-o", "json", "-f", "-", stdin=json.dumps(request), warnings=False
        )
    )
    assert answer["status"]["user"]["username"] == "system:serviceaccount:default:default"


def test_scaling_and_rolling_back(cluster: Cluster, hello: str) -> None:
    cluster.kubectl("scale", "deploy/hello", "--replicas=5")
    cluster.kubectl("rollout", "status", "deploy/hello", "--timeout=180s")
    assert len(cluster.pods("app=hello")) == 5
    cluster.kubectl("set", "env", "deploy/hello", "COLOUR=blue")
    cluster.kubectl("rollout", "status", "deploy/hello", "--timeout=180s")
    assert cluster.kubectl("rollout", "history", "deploy/hello").count("<none>") == 2
    cluster.kubectl("rollout", "undo", "deploy/hello")
    cluster.kubectl("rollout", "status", "deploy/hello", "--timeout=180s")
    template = cluster.get("deploy", "hello")["spec"]["template"]["spec"]["containers"][0]
    assert "COLOUR" not in [variable["name"] for variable in template["env"]]


_PYPI_KUBERNETES = """
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
pods = client.CoreV1Api().list_namespaced_pod("default", label_selector="app=hello").items
print(len(pods), {pod.status.phase for pod in pods if not pod.metadata.deletion_timestamp})
"""
_PYPI_KR8S = """
import kr8s
api = kr8s.api(kubeconfig=sys.argv[1])
pods = list(api.get("pods", namespace="default", label_selector="app=hello"))
print(len(pods), {pod.status.phase for pod in pods if "deletionTimestamp" not in pod.metadata})
"""


@pytest.mark.parametrize("program", [_PYPI_KUBERNETES, _PYPI_KR8S], ids=["kubernetes", "kr8s"])
def test_python_clients_list_the_pods(cluster: Cluster, hello: str, program: str) -> None:
    command = [sys.executable, "-c", "import sys\n" + program, str(cluster.kubeconfig)]
    assert "{'Running'}" in cluster.server.member.run(*command, timeout=120)


def test_deleting_leaves_nothing_behind(cluster: Cluster, hello: str) -> None:
    cluster.kubectl("delete", "-f", HELLO, "--timeout=180s")
    eventually("the pods are gone", lambda: not cluster.pods("app=hello"))
    for node in cluster.nodes:
        pods = node.directory / "data" / "kubelet" / "pods"
        eventually("their directories are gone", lambda pods=pods: not list(pods.iterdir()))
        assert str(pods) not in node.member.run("cat", "/proc/mounts")
