"""What a server is told at its start: plain data, built by the command line, read by `pylet.server.run`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pylet.api.clustersettings import NAMES, ClusterSettings
from pylet.api.flags import as_flags

_UNTOLD = ("agent", "agent_token", "token")


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
    """One network or, separated by a comma, one of each IP family; so `service_cidr`."""
    service_cidr: str = "10.43.0.0/16"
    cluster_dns: str = "10.43.0.10"
    cluster_domain: str = "cluster.local"
    service_node_port_range: tuple[int, int] = (30000, 32767)
    """First and last port, both included."""
    network_backend: str = "host-gw"
    """host-gw, vxlan, wireguard or none; what agents do, the server only tells them."""
    disable: tuple[str, ...] = ()
    """Names of the add-ons a fresh cluster does not start with."""
    disable_agent: bool = False
    agent: Any = None
    """The embedded agent's `AgentConfig`, None under `disable_agent`. Opaque: the server must not know the agent."""
    secrets_encryption: bool = False
    """Secrets are kept encrypted with keys the server makes; once on, `pylet secrets-encrypt` turns it off."""
    encryption_provider_config: Path | None = None
    """An EncryptionConfiguration with one's own keys, instead."""
    token_auth_file: Path | None = None
    """Lines of token,user,uid,"groups"."""
    authentication_config: Path | None = None
    """An AuthenticationConfiguration; or the flags of one issuer of OpenID Connect: oidc_…"""
    oidc_issuer_url: str | None = None
    oidc_client_id: str | None = None
    oidc_ca_file: Path | None = None
    oidc_username_claim: str = "sub"
    oidc_username_prefix: str | None = None
    """None is the issuer's URL and "#", except for mail addresses; "-" is none."""
    oidc_groups_claim: str | None = None
    oidc_groups_prefix: str = ""
    oidc_required_claim: tuple[str, ...] = ()
    oidc_signing_algs: tuple[str, ...] = ()
    """Empty is RS256."""
    authentication_token_webhook_config_file: Path | None = None
    """Kubeconfig of who is asked about tokens, and in which version."""
    authentication_token_webhook_version: str = "v1beta1"
    authorization_config: Path | None = None
    """An AuthorizationConfiguration: who decides what somebody may; or one webhook after Node and RBAC:"""
    authorization_webhook_config_file: Path | None = None
    authorization_webhook_version: str = "v1beta1"
    admission_control_config_file: Path | None = None
    """An AdmissionConfiguration: what single plugins go by."""
    audit_policy_file: Path | None = None
    audit_log_path: str | None = None
    """Where requests are written down as the policy says, "-" for standard output; None: nowhere."""
    audit_log_maxage: int = 0
    audit_log_maxbackup: int = 0
    audit_log_maxsize: int = 0
    """Days and number of old logs to keep, and megabytes of one; 0 is no bound, and 100 MB."""
    kube_scheduler_config: Path | None = None
    """A KubeSchedulerConfiguration: other profiles than the default one."""
    datastore_endpoint: str | None = None
    """None is SQLite in `data_dir/server/db.sqlite`."""
    log_level: str = "info"
    """debug, info, warning or error."""

    def flags(self) -> dict[str, str]:
        """As they could be given on the command line, but for secrets."""
        return as_flags(self, _UNTOLD)

    @property
    def asks_others(self) -> bool:
        """Whether identities or rights are known elsewhere than in the cluster, too."""
        webhooks = self.authentication_token_webhook_config_file, self.authorization_webhook_config_file
        files = self.token_auth_file, self.authentication_config, self.authorization_config
        return any((*files, self.oidc_issuer_url, *webhooks))

    @property
    def cluster(self) -> ClusterSettings:
        """What agents are told."""
        return ClusterSettings(**{name: getattr(self, name) for name in NAMES})
