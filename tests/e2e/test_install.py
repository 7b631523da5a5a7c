"""install.sh as a user runs it, from a clone to nothing left: without systemd, and with it where it can be booted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import CALM, REPO, eventually
from tests.e2e.machine import Machine, plain_machine, systemd_machine, wheels
from tests.netns import Lab

INSTALL = str(REPO / "install.sh")
# What is refused does not depend on who starts programs: it is tested on one kind of machine.
on_one = pytest.mark.parametrize("machine", ["without systemd"], indirect=True)
MACHINES = {"without systemd": plain_machine, "with systemd": systemd_machine}


@pytest.fixture(scope="module")
def airgap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels(tmp_path_factory.mktemp("airgap"))


@pytest.fixture(scope="module", params=MACHINES)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, airgap: Path
) -> Iterator[Machine]:
    """An installed one."""
    if request.param == "with systemd" and shutil.which("systemd-nspawn") is None:
        pytest.skip("needs systemd-nspawn")
    top = tmp_path_factory.mktemp("machine")
    inside = top / "airgap"
    shutil.copytree(airgap, inside)
    with Lab(nodes=1, gateway=True) as lab, MACHINES[request.param](top, lab.nodes[0]) as found:
        before = found.left()
        found.out("mkdir", "/etc/pylet")
        found.out("sh", "-c", f"echo '{json.dumps(CALM)}' >/etc/pylet/kubelet.yaml")
        options = ["--demo-image", "--airgap", str(inside), "--cgroup-root", f"/pylet-test-{os.getpid()}"]
        options += ["--kubelet-config", "/etc/pylet/kubelet.yaml"]
        if request.param == "without systemd":
            options += ["--cni-bin-dir", "/opt/cni/bin"]  # pods of the tests below prove that it has plugins then
        said = found.out(INSTALL, *options, "--node-name", "device")
        assert "this machine runs a node" in said
        yield found
        # Last, because nothing can be tried after it.
        assert "pylet is removed" in found.out("pylet", "uninstall", "--purge")

        def is_as_before() -> bool:
            left = found.left()
            assert left == before
            return True

        eventually("nothing is left", is_as_before)  # the kernel removes links in its own time


def test_the_commands_of_the_readme_work(machine: Machine) -> None:
    assert "device" in machine.out("pylet", "kubectl", "get", "nodes")
    machine.out("pylet", "kubectl", "apply", "-f", str(REPO / "examples/hello.yaml"))
    machine.out("pylet", "kubectl", "rollout", "status", "deploy/hello", "--timeout=180s")
    address = machine.out("pylet", "kubectl", "get", "svc", "hello", "-o", "jsonpath={.spec.clusterIP}")
    for url in (f"http://{address}", "http://10.77.0.11:30080"):
        eventually("the service answers", lambda url=url: "Hello" in machine.out("curl", "-sS", "-m", "20", url))
    assert "Ready" in machine.out("pylet", "status")


def test_a_second_run_keeps_settings_and_pods(machine: Machine) -> None:
    before = machine.tasks()
    said = machine.out(INSTALL, "--log-level", "debug")
    assert "installing" not in said
    settings = machine.out("cat", "/etc/pylet/server.env")
    assert "PYLET_NODE_NAME=device\n" in settings
    assert "PYLET_LOG_LEVEL=debug\n" in settings
    assert machine.tasks() == before
    machine.out(INSTALL, "--log-level=")
    assert "LOG_LEVEL" not in machine.out("cat", "/etc/pylet/server.env")


@pytest.mark.parametrize("machine", ["with systemd"], indirect=True)
def test_systemd_has_units_that_outlive_a_boot(machine: Machine) -> None:
    shown = machine.out("systemctl", "show", "pylet-server", "-p", "Type,KillMode,Delegate,UnitFileState,ActiveState")
    wanted = {"Type=notify", "KillMode=process", "Delegate=yes", "UnitFileState=enabled", "ActiveState=active"}
    assert set(shown.split()) == wanted
    before = machine.tasks()
    machine.out("systemctl", "restart", "pylet-server", "pylet-containerd")
    eventually("the node is back", lambda: machine.run("pylet", "status", "--ready").returncode == 0)
    assert machine.tasks() == before


@on_one
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--frobnicate"], "--frobnicate: pylet server has no such flag; see pylet server --help"),
        (["--token"], "--token needs a value"),
        (["--node-ip", "300.1.1.1"], 'PYLET_NODE_IP: "300.1.1.1" is not an IP address'),
        (["stray"], "unexpected argument 'stray': flags begin with --; see ./install.sh --help"),
        (["--node-label", "a=$(b)"], "--node-label: a settings file cannot hold 'a=$(b)'"),
        (["--airgap", "/nowhere"], "--airgap: /nowhere is not a directory"),
        (["agent"], "this machine is set up as pylet server: run 'pylet uninstall --purge' first"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_before_anything_changes(machine: Machine, arguments: list[str], line: str) -> None:
    before = machine.out("cat", "/etc/pylet/server.env")
    refused = machine.run(INSTALL, *arguments)
    assert refused.returncode == 2
    assert line in refused.stdout
    assert len(refused.stdout.splitlines()) <= 2
    assert machine.out("cat", "/etc/pylet/server.env") == before


@on_one
def test_a_port_in_use_is_said_with_what_to_do(machine: Machine) -> None:
    refused = machine.run(INSTALL, "--kubelet-port", "6443")
    assert refused.returncode == 1
    assert "cannot listen on port 6443" in refused.stdout
    machine.out(INSTALL, "--kubelet-port=")


@on_one
def test_who_is_not_root_is_told(machine: Machine) -> None:
    refused = machine.run("setpriv", "--reuid=65534", "--clear-groups", "sh", INSTALL)
    assert refused.returncode == 2
    assert refused.stdout == "install.sh: must run as root (containers, networks and cgroups need it)\n"
