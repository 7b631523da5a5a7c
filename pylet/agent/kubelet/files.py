"""The files of the node that a pod's containers show: the hosts file and where their last words go."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pylet.agent.kubelet import log_links
from pylet.agent.kubelet.config import log_directory
from pylet.agent.kubelet.names import host_aliases, hosts_file
from pylet.agent.kubelet.observed import Sandbox
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import is_host_network
from pylet.api.object import Object, uid_of

_HOSTS = "/etc/hosts"
_POD_HOSTS, _CONTAINERS = "etc-hosts", "containers"


def container_files(
    pod: Object, container: Object, restarts: int, sandbox: Sandbox, settings: Settings
) -> dict[Path, str]:
    """Host path to container path; the files are written here."""
    files = {}
    if path := container.get("terminationMessagePath", "/dev/termination-log"):
        words = _last_words(pod, container["name"], restarts, settings)
        words.parent.mkdir(parents=True, exist_ok=True)
        words.touch()
        words.chmod(0o666)  # whoever the container runs as may write it
        files[words] = path
    if not any(mount["mountPath"] == _HOSTS for mount in container.get("volumeMounts") or ()):
        files[_write_hosts(pod, sandbox, settings)] = _HOSTS
    return files


def forget_instance(pod: Object, name: str, restarts: int, id_: str, settings: Settings) -> None:
    """Remove what an instance of a container that is no more left on the node."""
    for log_file in (log_directory(pod, settings) / name).glob(f"{restarts}.log*"):
        log_file.unlink(missing_ok=True)
    log_links.unlink(pod, name, id_, settings)
    _last_words(pod, name, restarts, settings).unlink(missing_ok=True)


def files_bytes(pod: Object, settings: Settings) -> int:
    """What the pod's files have grown to: its containers may write to them as they like (CVE-2020-8557)."""
    top, found = settings.pod_dir(uid_of(pod)), 0
    for file in (top / _POD_HOSTS, *(top / _CONTAINERS).glob("*/*")):
        with suppress(OSError):
            found += file.lstat().st_blocks * 512
    return found


def _last_words(pod: Object, name: str, restarts: int, settings: Settings) -> Path:
    return settings.pod_dir(uid_of(pod)) / _CONTAINERS / name / str(restarts)


def _write_hosts(pod: Object, sandbox: Sandbox, settings: Settings) -> Path:
    if is_host_network(pod):
        text = "# Kubernetes-managed hosts file (host network).\n" + Path(_HOSTS).read_text()
        text += "".join(f"{line}\n" for line in host_aliases(pod))
    else:
        text = hosts_file(pod, sandbox.ips, settings.cluster_domain)
    hosts = settings.pod_dir(uid_of(pod)) / _POD_HOSTS
    hosts.write_text(text)
    hosts.chmod(0o644)
    return hosts
