"""`pylet uninstall`: stop pylet and its pods and take away what it made; the data only when asked."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import click

from pylet.agent import remembered
from pylet.agent.config import DATA_DIR, AgentConfig
from pylet.agent.kubelet import log_links
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.group_names import CGROUPFS, SYSTEMD, GroupNames
from pylet.api.clustersettings import ClusterSettings
from pylet.cli import installed
from pylet.cli.configuration import load_agent, load_server
from pylet.cli.failure import Failure
from pylet.cli.options import BadOption

_DATA_FOLDERS = ("server", "agent", "containerd")
_KUBELET_FOLDERS = ("pods", "plugins", "plugins_registry", "device-plugins", "pod-resources")
_RUN = Path("/run/pylet")
_SOCKET = _RUN / "containerd.sock"
_SERVICES = ("server", "agent", "containerd")
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class _Places:
    """Where this machine's pylet was told to keep things."""

    data_dir: Path
    kubelet_root: Path
    cni_conf_dir: Path
    pod_log_dir: Path
    cgroup_root: str
    kubeconfig: Path | None
    cluster: ClusterSettings


def _run(purge: bool) -> None:
    if os.geteuid() != 0:
        raise Failure("pylet uninstall: must run as root", 2)
    places = _places()
    for name in ("server", "agent"):
        _stop(name)
    _remove_pods()
    for place in places:
        _stop_ingress(place.data_dir / "agent" / "ingress")
    _stop("containerd")
    _remove_pod_namespaces()
    for place in places:
        _remove_network(place)
        _remove_cgroups(place.cgroup_root)
    for top in {DATA_DIR, _RUN, *(place.data_dir for place in places), *(place.kubelet_root for place in places)}:
        _unmount_below(top)
    for name in _SERVICES:
        Path(f"/etc/systemd/system/pylet-{name}.service").unlink(missing_ok=True)
    if _has_systemd():
        subprocess.run(["systemctl", "daemon-reload"], check=False)
    shutil.rmtree(_RUN, ignore_errors=True)
    Path("/usr/local/bin/pylet").unlink(missing_ok=True)
    if purge:
        for place in places:
            _purge(place)
        for folder in (installed.CONF, Path("/var/log/pylet")):
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree("/opt/pylet", ignore_errors=True)
    kept = sorted({str(place.data_dir) for place in places})
    print(
        "pylet is removed"
        + ("" if purge else f"; {', '.join(kept)} and {installed.CONF} are kept (--purge removes them, too)")
    )


def _places() -> list[_Places]:
    """One for each role that was installed; the defaults where none was, or where its settings are broken."""
    found = []
    for role in installed.ROLES:
        if (environ := installed.environment(role)) is None:
            continue
        with contextlib.suppress(BadOption):
            if role == "server":
                server = load_server({}, None, environ)
                agent = server.agent or AgentConfig(server=(), node_name="", data_dir=server.data_dir)
                found.append(_places_of(agent, server.write_kubeconfig))
            else:
                found.append(_places_of(load_agent({}, None, environ)))
    return found or [_places_of(AgentConfig(server=(), node_name=""))]


def _places_of(agent: AgentConfig, kubeconfig: Path | None = None) -> _Places:
    return _Places(
        agent.data_dir,
        agent.kubelet_root,
        agent.cni_conf_dir,
        agent.pod_log_dir,
        agent.cgroup_root,
        kubeconfig,
        remembered.read(agent.data_dir) or ClusterSettings(),
    )


def _purge(place: _Places) -> None:
    """Only what pylet keeps there: the folders were chosen by a person, who may have other things in them."""
    kept = {(place.kubelet_root, _KUBELET_FOLDERS), (place.data_dir, _DATA_FOLDERS), (DATA_DIR, _DATA_FOLDERS)}
    for top, folders in kept:
        for name in folders:
            shutil.rmtree(top / name, ignore_errors=True)
        with contextlib.suppress(OSError):
            top.rmdir()
    shutil.rmtree(place.pod_log_dir, ignore_errors=True)
    log_links.sweep(place.pod_log_dir)
    if place.kubeconfig is not None:
        place.kubeconfig.unlink(missing_ok=True)


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _stop(name: str) -> None:
    if _has_systemd():
        subprocess.run(["systemctl", "disable", "--now", f"pylet-{name}"], check=False, capture_output=True)
    file = _RUN / f"{name}.pid"
    with contextlib.suppress(OSError, ValueError):
        _end(int(file.read_text()))
    file.unlink(missing_ok=True)


def _end(pid: int) -> None:
    """Asks a process to end and waits until it has, or had its time. Raises: OSError."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [], _STOP_SECONDS)
    finally:
        os.close(process)


def _stop_ingress(directory: Path) -> None:
    """The proxy outlives the agent (`pylet.agent.ingress.process`)."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((directory / "haproxy.pid").read_text())
        if str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)
    shutil.rmtree(directory, ignore_errors=True)


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
    results = Path("/var/lib/cni/results")
    for result in results.glob("pylet-*"):
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(result.read_text())
            for interface in found.get("result", {}).get("interfaces") or ():
                namespace = Path(interface.get("sandbox") or "/")
                if namespace.parent.name == "netns":
                    subprocess.run(["umount", "--lazy", str(namespace)], check=False, capture_output=True)
                    namespace.unlink(missing_ok=True)
            (results / f"cni-loopback-{found.get('containerId')}-lo").unlink(missing_ok=True)
        result.unlink(missing_ok=True)
    for folder in (results, results.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _remove_network(place: _Places) -> None:
    from pylet.agent import nft
    from pylet.agent.network import dns, loop

    for table in ("pylet", "pylet-policy"):
        with contextlib.suppress(nft.NftError):
            nft.remove(table)
    with contextlib.suppress(OSError):
        loop.cleanup(place.cni_conf_dir, place.data_dir / "agent" / "ipam")
    with contextlib.suppress(OSError):
        dns.give_up_address(place.cluster.cluster_dns)


def _unmount_below(top: Path) -> None:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted(points, key=len, reverse=True):
        if point.startswith(f"{top}/"):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def _remove_cgroups(root: str) -> None:
    """By whichever driver they were made."""
    for driver in (CGROUPFS, SYSTEMD):
        names = GroupNames(root, driver)
        Cgroups(names).remove(names.of_pods())
    if root.strip("/"):
        for tree in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
            with contextlib.suppress(OSError):
                (tree / root.strip("/")).rmdir()


VERB = click.Command(
    "uninstall",
    callback=_run,
    params=[click.Option(["--purge"], is_flag=True, help="Remove the cluster's data and settings, too.")],
    help="Stop pylet and its pods and remove what it made. That is rules, links, groups, mounts and units.",
)
