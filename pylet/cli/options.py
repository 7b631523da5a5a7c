"""Every option of `pylet server` and `pylet agent`, as data: flags, environment, file keys and `--help` derive from it.

Names and meanings are k3s's where the meaning is the same. A value comes as text from a flag, from `PYLET_<NAME>` or
from the configuration file, and one parser per option judges it, so that the three can't disagree. Pure: reading the
files is `pylet.cli.configuration`'s task.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pylet.agent.config import AgentConfig
from pylet.server.config import ServerConfig

BOTH = frozenset({"server", "agent"})
SERVER = frozenset({"server"})
AGENT = frozenset({"agent"})


class BadOption(Exception):
    """One thing wrong with the configuration, as one line for the person who wrote it."""


class Shape(StrEnum):
    """How often and with what an option is given."""

    ONE = "one value"
    MANY = "repeatable, or a list separated by commas"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True)
class Option:
    """`parse` takes one text and returns the value or raises ValueError with what the value should have been."""

    name: str
    help: str
    commands: frozenset[str] = BOTH
    parse: Callable[[str], Any] = str
    shape: Shape = Shape.ONE
    metavar: str = "TEXT"
    short: str = ""
    default: str = ""
    """For `--help`, where the dataclass has no constant to show."""

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        return f"PYLET_{self.field.upper()}"


@dataclass(frozen=True, slots=True)
class Given:
    """What one source says: the texts by option name, and how that source is called in an error."""

    values: Mapping[str, tuple[str, ...]]
    called: Callable[[Option], str] = field(default=lambda option: f"--{option.name}")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("is not an IP address") from None


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        why = "has host bits set" if "host bits" in str(error) else "is not a network such as 10.42.0.0/16"
        raise ValueError(why) from None


def _cidrs(text: str) -> str:
    networks = [_cidr(part.strip()) for part in text.split(",")]
    families = [":" in network for network in networks]
    if len(families) != len(set(families)):
        raise ValueError("has two networks of one IP family: give one, or one of each")
    return ",".join(networks)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError("is not a port number from 1 to 65535")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise ValueError("is not a number, 0 or more")


def _port_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        low, high = _port(first), _port(last)
    except ValueError:
        low, high = 1, 0
    if not dash or low > high:
        raise ValueError("is not a range of ports such as 30000-32767")
    return low, high


def _mode(text: str) -> int:
    if re.fullmatch("0?[0-7]{3}", text):
        return int(text, 8)
    raise ValueError("is not a file mode such as 600 or 0644")


def _path(text: str) -> Path:
    if not text:
        raise ValueError("is not a path")
    return Path(text).expanduser().absolute()


def _server(text: str) -> str:
    url = urlsplit(text)
    try:
        good = url.scheme == "https" and url.hostname and (url.port or True) and url.path in ("", "/")
    except ValueError:
        good = False
    if not good:
        raise ValueError("is not of the form https://ADDRESS:6443")
    return text.rstrip("/")


_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_QUALIFIED = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_LABEL = re.compile(rf"{_QUALIFIED}={_VALUE}")
_TAINT = re.compile(rf"{_QUALIFIED}(=?{_VALUE}):(NoSchedule|PreferNoSchedule|NoExecute)")


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(f"is not {what}")

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in choices:
            return text
        raise ValueError(f"is not one of {', '.join(choices)}")

    return parse


def _flag(text: str) -> bool:
    match text.lower():
        case "true" | "yes" | "on" | "1" | "":
            return True
        case "false" | "no" | "off" | "0":
            return False
    raise ValueError("is neither true nor false")


def _endpoint(text: str) -> str:
    path = text.removeprefix("unix://")
    if path.startswith("/"):
        return f"unix://{path}"
    raise ValueError("is not the path of a unix socket such as unix:///run/containerd/containerd.sock")


def _datastore(text: str) -> str | None:
    if text in ("", "sqlite"):
        return None
    if text.startswith("sqlite://") or text == "memory":
        return text
    raise ValueError("is not a datastore pylet has: sqlite, sqlite://PATH or memory")


OPTIONS: tuple[Option, ...] = (
    Option("data-dir", "Folder for everything pylet keeps.", BOTH, _path, metavar="DIR", short="d"),
    Option("bind-address", "Address to listen on.", BOTH, _address, metavar="IP", default="all addresses"),
    Option("https-listen-port", "Port of the API.", SERVER, _port, metavar="PORT"),
    Option(
        "advertise-address",
        "Address under which members of the cluster reach the API.",
        SERVER,
        _address,
        metavar="IP",
        default="the address of the default route",
    ),
    Option("tls-san", "Further name or address for the API's certificate.", SERVER, str, Shape.MANY, "NAME"),
    Option("write-kubeconfig", "Where the admin kubeconfig is written.", SERVER, _path, metavar="FILE", short="o"),
    Option("write-kubeconfig-mode", "Its file mode.", SERVER, _mode, metavar="MODE"),
    Option(
        "disable-agent",
        "Run no node in this process, the control plane alone.",
        SERVER,
        _flag,
        Shape.FLAG,
    ),
    Option("server", "Server to join; of several any that answers.", AGENT, _server, Shape.MANY, "URL", short="s"),
    Option("token", "Secret to join the cluster with.", BOTH, str, metavar="TOKEN", short="t"),
    Option("token-file", "File with that secret.", BOTH, _path, metavar="FILE"),
    Option("agent-token", "Secret for agents alone.", SERVER, str, metavar="TOKEN", default="the token"),
    Option(
        "node-name",
        "Name of the node.",
        BOTH,
        _matching(_NAME, "a node name: lower case letters, digits, '-' and '.'"),
        metavar="NAME",
        default="the host's name",
    ),
    Option(
        "hollow",
        "Be this many nodes that run no containers, named NODE-NAME-0 and so on: to test a server at scale.",
        AGENT,
        _count,
        metavar="NUMBER",
    ),
    Option(
        "node-ip",
        "Address of the node, one of each IP family.",
        BOTH,
        _address,
        Shape.MANY,
        "IP",
        default="the address of the default route",
    ),
    Option(
        "nodeport-addresses",
        "Network in which the node's addresses answer node ports.",
        BOTH,
        _cidr,
        Shape.MANY,
        "CIDR",
        default="the node's own address",
    ),
    Option(
        "allow-external-ips",
        "Serve Services' externalIPs: who may write a Service then can take any address's traffic.",
        BOTH,
        _flag,
        Shape.FLAG,
    ),
    Option(
        "node-label",
        "Label to register the node with.",
        BOTH,
        _matching(_LABEL, "of the form key=value"),
        Shape.MANY,
        "K=V",
    ),
    Option(
        "node-taint",
        "Taint to register the node with.",
        BOTH,
        _matching(_TAINT, "of the form key=value:NoSchedule, :PreferNoSchedule or :NoExecute"),
        Shape.MANY,
        "K=V:EFFECT",
    ),
    Option("cluster-cidr", "Network of the pods, or IPv4,IPv6: two.", BOTH, _cidrs, metavar="CIDR"),
    Option("service-cidr", "Network of the services, or two.", BOTH, _cidrs, metavar="CIDR"),
    Option(
        "cluster-dns",
        "Address of the cluster's DNS.",
        BOTH,
        _address,
        metavar="IP",
        default="the tenth of service-cidr",
    ),
    Option("cluster-domain", "DNS domain of the cluster.", BOTH, _matching(_NAME, "a DNS domain"), metavar="DOMAIN"),
    Option("service-node-port-range", "Ports for NodePort services.", BOTH, _port_range, metavar="FIRST-LAST"),
    Option(
        "network-backend",
        "How pods of different nodes reach each other: host-gw, vxlan, wireguard or none.",
        BOTH,
        _one_of("host-gw", "vxlan", "wireguard", "none"),
        metavar="NAME",
    ),
    Option("container-runtime-endpoint", "Socket of containerd.", BOTH, _endpoint, metavar="SOCKET"),
    Option("kubelet-port", "Port of the kubelet.", BOTH, _port, metavar="PORT"),
    Option("resolv-conf", "File the pods' resolver configuration comes from.", BOTH, _path, metavar="FILE"),
    Option(
        "kubelet-config", "KubeletConfiguration to follow, as far as pylet lets it be set.", BOTH, _path, metavar="FILE"
    ),
    Option(
        "image-credential-provider-config",
        "CredentialProviderConfig, or a folder of them: programs that know credentials for images.",
        BOTH,
        _path,
        metavar="PATH",
    ),
    Option("image-credential-provider-bin-dir", "Folder of those programs.", BOTH, _path, metavar="DIR"),
    Option("cgroup-root", "Cgroup below which the pods' are made.", BOTH, str, metavar="PATH"),
    Option(
        "kubelet-dir",
        "Folder of the pods' volumes and of plugins.",
        BOTH,
        _path,
        metavar="DIR",
        default="/var/lib/kubelet; kubelet in a data-dir of your own",
    ),
    Option("pod-log-dir", "Folder of the containers' logs.", BOTH, _path, metavar="DIR"),
    Option("cni-bin-dir", "Folder of the CNI plugins.", BOTH, _path, metavar="DIR"),
    Option("cni-conf-dir", "Folder of the CNI configuration.", BOTH, _path, metavar="DIR"),
    Option(
        "disable",
        "Add-on to leave out: dns, gateway, ingress, local-storage or servicelb.",
        SERVER,
        str,
        Shape.MANY,
        "NAME",
    ),
    Option("secrets-encryption", "Keep Secrets encrypted, with keys of the server's.", SERVER, _flag, Shape.FLAG),
    Option(
        "encryption-provider-config",
        "EncryptionConfiguration with keys of one's own.",
        SERVER,
        _path,
        metavar="FILE",
    ),
    Option("token-auth-file", 'Lines of token,user,uid,"groups".', SERVER, _path, metavar="FILE"),
    Option("authentication-config", "AuthenticationConfiguration: issuers of tokens.", SERVER, _path, metavar="FILE"),
    Option("oidc-issuer-url", "OpenID Connect issuer whose tokens are believed.", SERVER, str, metavar="URL"),
    Option("oidc-client-id", "Audience its tokens have to be for.", SERVER, str, metavar="NAME"),
    Option("oidc-ca-file", "CA of the issuer.", SERVER, _path, metavar="FILE", default="the system's"),
    Option("oidc-username-claim", "Claim that is the user's name.", SERVER, str, metavar="CLAIM"),
    Option("oidc-username-prefix", "Prefix of users' names, - for none.", SERVER, str, default="the issuer and #"),
    Option("oidc-groups-claim", "Claim that lists the user's groups.", SERVER, str, metavar="CLAIM"),
    Option("oidc-groups-prefix", "Prefix of groups' names.", SERVER, str),
    Option("oidc-required-claim", "Claim a token has to have.", SERVER, str, Shape.MANY, "CLAIM=VALUE"),
    Option("oidc-signing-algs", "Algorithms its tokens may be signed with.", SERVER, str, Shape.MANY, default="RS256"),
    Option(
        "authentication-token-webhook-config-file",
        "Kubeconfig of a webhook that knows tokens.",
        SERVER,
        _path,
        metavar="FILE",
    ),
    Option(
        "authorization-webhook-config-file",
        "Kubeconfig of a webhook that is asked where RBAC does not allow.",
        SERVER,
        _path,
        metavar="FILE",
    ),
    Option("audit-policy-file", "Audit Policy: which requests are written down.", SERVER, _path, metavar="FILE"),
    Option("audit-log-path", "File they are written to, - for standard output.", SERVER, str, metavar="FILE"),
    Option("audit-log-maxage", "Days to keep old audit logs.", SERVER, _count, metavar="DAYS"),
    Option("audit-log-maxbackup", "Old audit logs to keep.", SERVER, _count, metavar="NUMBER"),
    Option("audit-log-maxsize", "Megabytes an audit log may have.", SERVER, _count, metavar="MB"),
    Option("kube-scheduler-config", "KubeSchedulerConfiguration: other profiles.", SERVER, _path, metavar="FILE"),
    Option(
        "datastore-endpoint",
        "Where the state is kept: sqlite, sqlite://PATH or memory.",
        SERVER,
        _datastore,
        metavar="URL",
        default="sqlite",
    ),
    Option(
        "log-level",
        "debug, info, warning or error.",
        BOTH,
        _one_of("debug", "info", "warning", "error"),
        metavar="LEVEL",
        short="v",
    ),
)
BY_NAME = {option.name: option for option in OPTIONS}


def options_of(command: str) -> list[Option]:
    return [option for option in OPTIONS if command in option.commands]


def default_text(option: Option) -> str:
    """What `--help` says about the default; "" when there is none."""
    if option.default or option.shape is not Shape.ONE:
        return option.default
    for config in (ServerConfig, AgentConfig):
        for member in fields(config):
            if member.name == option.field and isinstance(member.default, str | int | Path | tuple):
                value = member.default
                if isinstance(value, tuple):
                    return "-".join(map(str, value))
                return f"{value:o}" if option.parse is _mode else str(value)
    return ""


def from_environment(command: str, environ: Mapping[str, str]) -> Given:
    """The options the environment sets; an empty variable is an unset one."""
    values = {o.name: split(o, [environ[o.env]]) for o in options_of(command) if environ.get(o.env)}
    return Given(values, lambda option: option.env)


def unknown_variables(environ: Mapping[str, str]) -> list[BadOption]:
    """Variables that look like settings and are none; starting goes on without them, checking says so."""
    known = {"PYLET_CONFIG_FILE", *(option.env for option in OPTIONS)}
    found = []
    for name in sorted(environ):
        if name.startswith("PYLET_") and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            found.append(BadOption(f"{name}: no such setting{f', did you mean {close[0]}?' if close else ''}"))
    return found


def split(option: Option, texts: list[str]) -> tuple[str, ...]:
    """The values in what was written: a repeatable option may have several in one text."""
    if option.shape is not Shape.MANY:
        return tuple(texts)
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def settle(command: str, *sources: Given) -> dict[str, Any]:
    """The value of every option that any source gives, by field name; an earlier source wins as a whole.

    Raises: BadOption.
    """
    settled: dict[str, Any] = {}
    for option in options_of(command):
        for source in sources:
            if option.name in source.values:
                texts = source.values[option.name]
                values = tuple(_parsed(option, source, text) for text in texts)
                settled[option.field] = values if option.shape is Shape.MANY else values[-1]
                break
    return settled


def _parsed(option: Option, source: Given, text: str) -> Any:
    try:
        return option.parse(text)
    except ValueError as error:
        raise BadOption(f'{source.called(option)}: "{text}" {error}') from None


def agent_config(settled: Mapping[str, Any], *, hostname: str) -> AgentConfig:
    """Raises: BadOption."""
    values = dict(settled)
    if not values.get("server"):
        raise BadOption("--server: the address of the server to join is needed, as in --server https://10.0.0.1:6443")
    values.setdefault("node_name", _node_name(hostname))
    return AgentConfig(**_only(AgentConfig, values))


def server_config(settled: Mapping[str, Any], *, hostname: str) -> ServerConfig:
    """The server's configuration, with its embedded agent's unless that is disabled. Raises: BadOption."""
    values = dict(settled)
    values.setdefault("cluster_dns", str(_service_networks(values)[0][10]))
    config = ServerConfig(**_only(ServerConfig, values))
    if config.disable_agent:
        return config
    address = config.bind_address or ("::1" if config.cluster.families[0] == 6 else "127.0.0.1")
    if ipaddress.ip_address(address).is_unspecified:
        address = "::1" if ":" in address else "127.0.0.1"
    url = f"https://[{address}]" if ":" in address else f"https://{address}"
    values |= {"server": (f"{url}:{config.https_listen_port}",)}
    return ServerConfig(**_only(ServerConfig, values), agent=agent_config(values, hostname=hostname))


def _node_name(hostname: str) -> str:
    name = hostname.strip().lower()
    if _NAME.fullmatch(name):
        return name
    raise BadOption(f"--node-name: the host's name \"{hostname}\" can't name a node: choose one with --node-name")


def _only(config: type[ServerConfig] | type[AgentConfig], values: Mapping[str, Any]) -> dict[str, Any]:
    names = {member.name for member in fields(config)} - {"agent"}
    return {name: value for name, value in values.items() if name in names}


def _service_networks(values: Mapping[str, Any]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks of the services. Raises: BadOption where what is given contradicts itself."""
    defaults = ServerConfig()
    pods, services = (
        [ipaddress.ip_network(cidr) for cidr in values.get(name, getattr(defaults, name)).split(",")]
        for name in ("cluster_cidr", "service_cidr")
    )
    for service in services:
        for pod in pods:
            if pod.version == service.version and pod.overlaps(service):
                raise BadOption(f"--cluster-cidr {pod} and --service-cidr {service} overlap: choose separate networks")
        if service.num_addresses < 16:
            raise BadOption(f"--service-cidr: {service} is too small: it needs room for 16 addresses at least")
        if service.version not in {pod.version for pod in pods}:
            raise BadOption(f"--service-cidr: pods have no IPv{service.version} addresses: give such a --cluster-cidr")
    if (dns := values.get("cluster_dns")) and not any(ipaddress.ip_address(dns) in service for service in services):
        raise BadOption(f"--cluster-dns: {dns} is not in --service-cidr {','.join(map(str, services))}")
    if len({ipaddress.ip_address(ip).version for ip in values.get("node_ip", ())}) < len(values.get("node_ip", ())):
        raise BadOption("--node-ip: two addresses of one IP family: give one, or one of each")
    return services
