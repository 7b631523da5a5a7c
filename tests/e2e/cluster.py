"""A real cluster for tests: nodes in network namespaces, each with its own containerd, pylet as users start it.

The first node runs `pylet server` with its agent, the others `pylet agent`. Everything is below one directory and one
cgroup; what was started is stopped by pid.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.group_names import CGROUPFS, GroupNames
from tests.containerd import ContainerdProcess
from tests.netns import Lab, Member

REPO = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
# Images and pods stay, however full the disk and the memory of the machine that runs the tests are.
CALM = {"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99, "evictionHard": {}}


def eventually(what: str, check: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
    """The first true result of `check`; fails with what it saw last."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found: Any = check()
        except (subprocess.SubprocessError, AssertionError, OSError, ValueError, LookupError) as failed:
            found, seen = None, getattr(failed, "stderr", "") or failed
        else:
            seen = found
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: still not so after {seconds:g} s; last seen: {seen!r}"
        time.sleep(0.1)


def all_answer(wanted: set[str], call: Callable[[], str]) -> None:
    """Each of `wanted` answers, nobody else does; chance picks who, so it is asked until all have been seen."""
    seen: set[str] = set()
    for _ in range(60):
        seen.add(call())
        if seen >= wanted:
            break
    assert seen == wanted


class Node:
    """One machine: a network namespace, a containerd and a pylet that can be killed and started again."""

    def __init__(self, member: Member, directory: Path, *, name: str) -> None:
        self.member = member
        self.name = name
        self.node_ip = member.ip
        """What `--node-ip` says; "" gives no such flag."""
        self.directory = directory
        self.cgroup = f"/pylet-test-{os.getpid()}-{name}"
        (directory / "containerd").mkdir(parents=True)
        self.cni = directory / "cni"
        self.containerd = ContainerdProcess(directory / "containerd", netns=member.name, cni_conf=self.cni)
        self.process: subprocess.Popen[bytes] | None = None
        self.kubelet: dict[str, Any] = dict(CALM)
        """Its KubeletConfiguration."""
        self.environ: dict[str, str] = {}
        """What pylet is started with beside the environment of the tests."""
        self._arguments: tuple[str, ...] = ()
        self.log = directory / "pylet.log"

    def prepare(self) -> None:
        self.containerd.by_systemd = self.kubelet.get("cgroupDriver") == "systemd"
        self.containerd.start()
        self.containerd.load()

    def start(self, role: str, *arguments: str) -> None:
        """Start pylet; `restart` starts it again with the same arguments."""
        self._arguments = (role, *arguments)
        self.restart()

    def restart(self) -> None:
        config = self.directory / "kubelet.yaml"
        config.write_text(json.dumps(self.kubelet))
        common = (
            "--data-dir", str(self.directory / "data"),
            "--node-name", self.name,
            *(("--node-ip", self.node_ip) if self.node_ip else ()),
            "--container-runtime-endpoint", f"unix://{self.containerd.socket}",
            "--cni-conf-dir", str(self.cni),
            "--cgroup-root", self.cgroup,
            "--pod-log-dir", str(self.directory / "pod-logs"),
            "--kubelet-config", str(config),
        )  # fmt: skip
        role, *arguments = self._arguments
        command = [*self.containerd.enter(), sys.executable, "-m", "pylet", role, *common, *arguments]
        with self.log.open("ab") as log:
            environ = os.environ | self.environ
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=REPO, start_new_session=True, env=environ
            )

    def kill(self) -> None:
        """SIGKILL pylet alone: its containers go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop_pylet(self) -> None:
        """SIGTERM to pylet alone."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def power_cut(self) -> None:
        """End all at once: pylet, containerd, what runs in containers, and what is kept in memory."""
        self.kill()
        self.containerd.kill()
        self._clear()
        for volatile in ("state", "runc"):
            shutil.rmtree(self.containerd.directory / volatile, ignore_errors=True)

    def power_on(self) -> None:
        self.containerd.start()
        self.restart()

    def containers(self) -> set[str]:
        """Ids of the containers that run, sandboxes left out."""
        ctr = ("ctr", "--address", str(self.containerd.socket), "-n", "k8s.io")
        kind = 'labels."io.cri-containerd.kind"==container'
        known = self.member.run(*ctr, "containers", "ls", "-q", kind).split()
        tasks = self.member.run(*ctr, "tasks", "ls").splitlines()
        return {line.split()[0] for line in tasks if line.endswith("RUNNING")} & set(known)

    def stop(self) -> None:
        self.stop_pylet()
        self._clear()

    def _clear(self) -> None:
        self.containerd.stop()
        for mount in reversed([line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]):
            if mount.startswith(str(self.directory)):
                subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        groups = GroupNames(self.cgroup, self.kubelet.get("cgroupDriver", CGROUPFS))
        Cgroups(groups).remove(groups.of())


class Cluster:
    """`with Cluster(directory, nodes=2) as cluster:`, then all nodes are Ready."""

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 1,
        options: tuple[str, ...] = (),
        agent_options: tuple[str, ...] | None = None,
        kubelet: Mapping[str, Any] = MappingProxyType({}),
        node_ips: Callable[[Member], str] = lambda member: member.ip,
    ) -> None:
        """`options` are the server's, and the agents' where those have none; `node_ips` are `--node-ip`.

        `kubelet` are fields of every node's KubeletConfiguration.
        """
        self._lab = Lab(nodes=nodes, client=True, gateway=True)
        self._directory = directory
        self._options = options
        self._kubelet = kubelet
        self._node_ips = node_ips
        self._agent_options = options if agent_options is None else agent_options
        self.kubeconfig = directory / "admin.yaml"
        self.nodes: list[Node] = []

    @property
    def server(self) -> Node:
        return self.nodes[0]

    @property
    def client(self) -> Member:
        """A machine outside of the cluster on the same link."""
        assert self._lab.client is not None
        return self._lab.client

    @property
    def url(self) -> str:
        return f"https://{self.server.member.ip}:6443"

    def __enter__(self) -> Cluster:
        self._lab.__enter__()
        try:
            for number, member in enumerate(self._lab.nodes, 1):
                node = Node(member, self._directory / f"node{number}", name=f"node{number}")
                node.node_ip = self._node_ips(member)
                node.kubelet |= self._kubelet
                self.nodes.append(node)
                node.prepare()
            self.server.start(
                "server", "--bind-address", self.server.member.ip,
                "--write-kubeconfig", str(self.kubeconfig), *self._options,
            )  # fmt: skip
            eventually("the API answers", lambda: self.kubectl("get", "--raw", "/readyz") == "ok")
            for node in self.nodes[1:]:
                self.join(node, self.token)
            names = [node.name for node in self.nodes]
            eventually("all nodes are Ready", lambda: all(self.is_ready(name) for name in names))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()
        self._lab.close()

    @property
    def token(self) -> str:
        return (self.server.directory / "data" / "server" / "token").read_text().strip()

    def join(self, node: Node, token: str) -> None:
        node.start("agent", "--server", self.url, "--token", token, *self._agent_options)

    def kubectl(self, *arguments: str, stdin: str | None = None, binary: str = "kubectl", warnings: bool = True) -> str:
        """Run an unmodified kubectl on the server's machine; see `Member.run`."""
        command = [binary, "--kubeconfig", str(self.kubeconfig), *arguments]
        return self.server.member.run(*command, stdin=stdin, timeout=240, warnings=warnings)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json", warnings=False))

    def is_ready(self, node: str) -> bool:
        conditions = self.get("node", node)["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def pods(self, selector: str) -> list[Any]:
        found: list[Any] = self.get("pods", "-l", selector)["items"]
        return found

    def logs(self) -> Iterator[str]:
        for node in self.nodes:
            yield f"== {node.name}\n{node.log.read_text()[-8000:]}"
