"""`pylet uninstall`: stop pylet and its pods and take away what it made; the data only when asked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import click

from pylet.cli.failure import Failure

_DATA = Path("/var/lib/pylet")
_RUN = Path("/run/pylet")
_SOCKET = _RUN / "containerd.sock"
_SERVICES = ("server", "agent", "containerd")
_STOP_SECONDS = 20


def _run(purge: bool) -> None:
    if os.geteuid() != 0:
        raise Failure("pylet uninstall: must run as root", 2)
    for name in ("server", "agent"):
        _stop(name)
    _remove_pods()
    _stop("containerd")
    _remove_pod_namespaces()
    _remove_network()
    for top in (_DATA, _RUN):
        _unmount_below(top)
    _remove_cgroups()
    for name in _SERVICES:
        Path(f"/etc/systemd/system/pylet-{name}.service").unlink(missing_ok=True)
    if _has_systemd():
        subprocess.run(["systemctl", "daemon-reload"], check=False)
    shutil.rmtree(_RUN, ignore_errors=True)
    Path("/usr/local/bin/pylet").unlink(missing_ok=True)
    if purge:
        for folder in (_DATA, Path("/etc/pylet"), Path("/var/log/pylet")):
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree("/opt/pylet", ignore_errors=True)
    print("pylet is removed" + ("" if purge else f"; {_DATA} and /etc/pylet are kept (--purge removes them, too)"))


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _stop(name: str) -> None:
    if _has_systemd():
        subprocess.run(["systemctl", "disable", "--now", f"pylet-{name}"], check=False, capture_output=True)
    file = _RUN / f"{name}.pid"
    with contextlib.suppress(OSError, ValueError):
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    file.unlink(missing_ok=True)


def _remove_pods() -> None:
    """All containers of our own containerd; a runtime that is not pylet's keeps what it has."""
    if not _SOCKET.exists():
        return
    ctr = ["ctr", "--address", str(_SOCKET), "--namespace", "k8s.io"]
    listed = subprocess.run([*ctr, "tasks", "list", "-q"], check=False, capture_output=True, text=True).stdout
    for task in listed.split():
        subprocess.run([*ctr, "tasks", "kill", "--signal", "SIGKILL", task], check=False, capture_output=True)
        subprocess.run([*ctr, "tasks", "delete", "--force", task], check=False, capture_output=True)
    listed = subprocess.run([*ctr, "containers", "list", "-q"], check=False, capture_output=True, text=True).stdout
    for container in listed.split():
        subprocess.run([*ctr, "containers", "delete", container], check=False, capture_output=True)


def _remove_pod_namespaces() -> None:
    """Network namespaces of pods outlive their containers; CNI remembers which were made for pylet's network."""
    for result in Path("/var/lib/cni/results").glob("pylet-*"):
        with contextlib.suppress(OSError, ValueError):
            for interface in json.loads(result.read_text()).get("result", {}).get("interfaces") or ():
                namespace = Path(interface.get("sandbox") or "/")
                if namespace.parent.name == "netns":
                    subprocess.run(["umount", "--lazy", str(namespace)], check=False, capture_output=True)
                    namespace.unlink(missing_ok=True)
        result.unlink(missing_ok=True)


def _remove_network() -> None:
    from pylet.agent.config import AgentConfig
    from pylet.agent.network import dns, loop
    from pylet.agent.proxy import nft

    defaults = AgentConfig(server="", node_name="")
    with contextlib.suppress(nft.NftError):
        nft.remove("pylet")
    with contextlib.suppress(OSError):
        loop.cleanup(defaults.cni_conf_dir, _DATA / "agent" / "ipam")
    with contextlib.suppress(OSError):
        dns.give_up_address(defaults.cluster_dns)


def _unmount_below(top: Path) -> None:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted(points, key=len, reverse=True):
        if point.startswith(f"{top}/"):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def _remove_cgroups() -> None:
    for tree in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        if (tree / "kubepods").is_dir():
            for folder, _, _ in os.walk(tree / "kubepods", topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


VERB = click.Command(
    "uninstall",
    callback=_run,
    params=[click.Option(["--purge"], is_flag=True, help="Remove the cluster's data and settings, too.")],
    help="Stop pylet and its pods and remove what it made: rules, links, groups, mounts, units.",
)
