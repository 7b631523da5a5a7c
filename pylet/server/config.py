"""What a server is told at its start: plain data, built by the command line, read by `pylet.server.run`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pylet.api.clustersettings import NAMES, ClusterSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Field names are the flags' names with underscores; `pylet/cli/options.py` has their meaning and their checks."""

    data_dir: Path = Path("/var/lib/pylet")
    bind_address: str | None = None
    """None listens on every address of the machine."""
    https_listen_port: int = 6443
    advertise_address: str | None = None
    """The address members of the cluster reach the API under; None means: the address of the default route."""
    tls_san: tuple[str, ...] = ()
    write_kubeconfig: Path = Path("/etc/pylet/pylet.yaml")
    write_kubeconfig_mode: int = 0o600
    token: str | None = None
    """The secret agents join with, bare or in the `K10…` form; None lets the server make one and keep it."""
    agent_token: str | None = None
    cluster_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.43.0.0/16"
    cluster_dns: str = "10.43.0.10"
    cluster_domain: str = "cluster.local"
    service_node_port_range: tuple[int, int] = (30000, 32767)
    """First and last port, both included."""
    network_backend: str = "host-gw"
    """host-gw, vxlan or none; what agents do, the server only tells them."""
    disable: tuple[str, ...] = ()
    """Names of the add-ons a fresh cluster does not start with."""
    disable_agent: bool = False
    agent: Any = None
    """The embedded agent's `AgentConfig`, None under `disable_agent`. Opaque: the server must not know the agent."""
    secrets_encryption: bool = False
    """Secrets are kept encrypted with keys the server makes; once on, `pylet secrets-encrypt` turns it off."""
    encryption_provider_config: Path | None = None
    """An EncryptionConfiguration with one's own keys, instead."""
    audit_policy_file: Path | None = None
    audit_log_path: str | None = None
    """Where requests are written down as the policy says, "-" for standard output; None: nowhere."""
    audit_log_maxage: int = 0
    audit_log_maxbackup: int = 0
    audit_log_maxsize: int = 0
    """Days and number of old logs to keep, and megabytes of one; 0 is no bound, and 100 MB."""
    datastore_endpoint: str | None = None
    """None is SQLite in `data_dir/server/db.sqlite`."""
    log_level: str = "info"
    """debug, info, warning or error."""

    @property
    def cluster(self) -> ClusterSettings:
        """What agents are told."""
        return ClusterSettings(**{name: getattr(self, name) for name in NAMES})
