"""What one node's kubelet is set to; plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    node_name: str
    host_ips: tuple[str, ...]
    root: Path
    """Where pods' volumes and files live (`/var/lib/pylet/kubelet`)."""
    log_root: Path = Path("/var/log/pods")
    cgroup_root: str = "/"
    cluster_dns: str = ""
    cluster_domain: str = "cluster.local"
    host_nameservers: tuple[str, ...] = ()
    host_searches: tuple[str, ...] = ()
    memory_bytes: int = 0
    """The machine's: how much of it a container asked for decides who is killed first."""

    def pod_dir(self, uid: str) -> Path:
        return self.root / "pods" / uid
