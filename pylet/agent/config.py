"""What an agent is told at its start: plain data, built by the command line, read by `pylet.agent.run`."""

from dataclasses import dataclass
from pathlib import Path

from pylet.api.flags import as_flags

DATA_DIR = Path("/var/lib/pylet")
KUBELET_DIR = Path("/var/lib/kubelet")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """Field names are the flags' names with underscores; `pylet/cli/options.py` has their meaning and their checks.

    What all members must agree on (`pylet.api.clustersettings`) is None where no flag says it: the agent reads it from
    the server, and refuses to start where a flag says otherwise.
    """

    server: tuple[str, ...]
    """`https://host:port` of API servers, any of which will do; the others the agent finds by itself."""
    data_dir: Path = DATA_DIR
    token: str | None = None
    """Needed for the first start alone: afterwards the agent has a certificate. See `pylet.api.jointoken`."""
    node_name: str
    node_ip: tuple[str, ...] = ()
    """One of each IP family; none means: of the link that has the default route, or the one that reaches the server."""
    nodeport_addresses: tuple[str, ...] = ()
    """Networks; none means the node's own address alone."""
    allow_external_ips: bool = False
    """Serve spec.externalIPs of Services (CVE-2020-8554)."""
    node_label: tuple[str, ...] = ()
    """`key=value` each, for registration."""
    node_taint: tuple[str, ...] = ()
    """`key[=value]:Effect` each, for registration."""
    hollow: int = 0
    """How many nodes that run nothing to be instead of one that does: see `pylet.agent.hollow`."""
    bind_address: str | None = None
    """Where the kubelet listens; None is every address of the machine."""
    kubelet_port: int = 10250
    container_runtime_endpoint: str = "unix:///run/containerd/containerd.sock"
    cluster_cidr: str | None = None
    service_cidr: str | None = None
    cluster_dns: str | None = None
    cluster_domain: str | None = None
    service_node_port_range: tuple[int, int] | None = None
    network_backend: str | None = None
    resolv_conf: Path = Path("/etc/resolv.conf")
    """Where pods' search list and the resolver's upstreams come from."""
    kubelet_config: Path | None = None
    """A KubeletConfiguration: see `pylet.agent.kubelet.kubelet_config` for what it may say."""
    kubelet_config_dir: Path | None = None
    """What is said over it, in files of their own: see `pylet.agent.kubelet.config_files`."""
    image_credential_provider_config: Path | None = None
    """A CredentialProviderConfig, or a directory of them; of use with the directory of their programs alone."""
    image_credential_provider_bin_dir: Path | None = None
    cgroup_root: str = "/"
    """The cgroup below which `kubepods` is made."""
    kubelet_dir: Path | None = None
    """Where pods' volumes are; None is where CSI drivers expect them, or below a data directory of one's own."""
    pod_log_dir: Path = Path("/var/log/pods")
    """Where containers' logs go."""
    cni_bin_dir: Path = Path("/usr/lib/cni")
    cni_conf_dir: Path = Path("/etc/cni/net.d")
    log_level: str = "info"
    """debug, info, warning or error."""

    def flags(self) -> dict[str, str]:
        """As they could be given on the command line, but for the token."""
        return as_flags(self, ("token",))

    @property
    def kubelet_root(self) -> Path:
        if self.kubelet_dir is not None:
            return self.kubelet_dir
        return KUBELET_DIR if self.data_dir == DATA_DIR else self.data_dir / "kubelet"
