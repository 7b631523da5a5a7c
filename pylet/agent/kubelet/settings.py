"""What one node's kubelet is set to; plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pylet.agent.kubelet.backoff import LONGEST
from pylet.agent.kubelet.group_names import GroupNames
from pylet.agent.kubelet.logrotation import LogBounds
from pylet.agent.resolv_conf import ResolvConf


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    node_name: str
    host_ips: tuple[str, ...]
    root: Path
    """Where pods' volumes and files live (`/var/lib/kubelet`)."""
    log_root: Path = Path("/var/log/pods")
    groups: GroupNames = field(default_factory=GroupNames)
    container_cgroup: Mapping[str, str] = field(default_factory=dict)
    """Files of cgroup v2 that each container has so, beside its limits."""
    swap_bytes: int = 0
    """What containers with requests share of it; 0: nothing is swapped out."""
    cluster_dns: str = ""
    cluster_domain: str = "cluster.local"
    host_resolver: Callable[[], ResolvConf] = ResolvConf
    """Whom pods ask for names that are not the cluster's, as it is now."""
    cpus: int = 1
    memory_bytes: int = 0
    """The machine's: how much of it a container asked for decides who is killed first."""
    huge_pages: tuple[str, ...] = ()
    """The sizes the machine knows, as resources are named."""
    reserved_milli_cpus: int = 0
    reserved_bytes: int = 0
    """Not for pods, all together."""

    quota_period_micros: int | None = 100_000
    """In which who has a limit of CPU has its part of it; None: nobody is held back."""
    log_bounds: LogBounds = LogBounds()  # noqa: RUF009 - immutable

    longest_back_off: timedelta = LONGEST
    """Before a container that keeps failing is started again."""
    unsafe_sysctls: tuple[str, ...] = ()
    """What pods may set of the kernel beside what is safe; a name may end with `*`."""
    seccomp_default: bool = False
    """Who says nothing of seccomp is confined as the runtime does by default."""
    ids_per_pod: int = 65536
    """How many users a pod has that has its own."""
    max_pods: int = 110

    def pod_dir(self, uid: str) -> Path:
        return self.root / "pods" / uid
