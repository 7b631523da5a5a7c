"""Every option of `pylet server` and `pylet agent`, as data: flags, environment, file keys and `--help` derive from it.

Names and meanings are k3s's where the meaning is the same. A value comes as text from a flag, from `PYLET_<NAME>` or
from the configuration file, and one parser per option judges it, so that the three can't disagree. Pure: reading the
files is `pylet.cli.configuration`'s task.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from pylet.agent.config import AgentConfig
from pylet.cli import parsers
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


OPTIONS: tuple[Option, ...] = (
    Option("data-dir", "Folder for everything pylet keeps.", BOTH, parsers.path, metavar="DIR", short="d"),
    Option("bind-address", "Address to listen on.", BOTH, parsers.address, metavar="IP", default="all addresses"),
    Option("https-listen-port", "Port of the API.", SERVER, parsers.port, metavar="PORT"),
    Option(
        "advertise-address",
        "Address under which members of the cluster reach the API.",
        SERVER,
        parsers.address,
        metavar="IP",
        default="the address of the default route",
    ),
    Option("tls-san", "Further name or address for the API's certificate.", SERVER, str, Shape.MANY, "NAME"),
    Option(
        "write-kubeconfig", "Where the admin kubeconfig is written.", SERVER, parsers.path, metavar="FILE", short="o"
    ),
    Option("write-kubeconfig-mode", "Its file mode.", SERVER, parsers.mode, metavar="MODE"),
    Option(
        "disable-agent",
        "Run no node in this process, the control plane alone.",
        SERVER,
        parsers.flag,
        Shape.FLAG,
    ),
    Option(
        "server", "Server to join; of several any that answers.", AGENT, parsers.server, Shape.MANY, "URL", short="s"
    ),
    Option("token", "Secret to join the cluster with.", BOTH, str, metavar="TOKEN", short="t"),
    Option("token-file", "File with that secret.", BOTH, parsers.path, metavar="FILE"),
    Option("agent-token", "Secret for agents alone.", SERVER, str, metavar="TOKEN", default="the token"),
    Option(
        "node-name",
        "Name of the node.",
        BOTH,
        parsers.matching(parsers.NAME, "a node name: lower case letters, digits, '-' and '.'"),
        metavar="NAME",
        default="the host's name",
    ),
    Option(
        "hollow",
        "Be this many nodes that run no containers, named NODE-NAME-0 and so on: to test a server at scale.",
        AGENT,
        parsers.count,
        metavar="NUMBER",
    ),
    Option(
        "node-ip",
        "Address of the node, one of each IP family.",
        BOTH,
        parsers.address,
        Shape.MANY,
        "IP",
        default="the address of the default route",
    ),
    Option(
        "nodeport-addresses",
        "Network in which the node's addresses answer node ports.",
        BOTH,
        parsers.cidr,
        Shape.MANY,
        "CIDR",
        default="the node's own address",
    ),
    Option(
        "allow-external-ips",
        "Serve Services' externalIPs: who may write a Service then can take any address's traffic.",
        BOTH,
        parsers.flag,
        Shape.FLAG,
    ),
    Option(
        "node-label",
        "Label to register the node with.",
        BOTH,
        parsers.matching(parsers.LABEL, "of the form key=value"),
        Shape.MANY,
        "K=V",
    ),
    Option(
        "node-taint",
        "Taint to register the node with.",
        BOTH,
        parsers.matching(parsers.TAINT, "of the form key=value:NoSchedule, :PreferNoSchedule or :NoExecute"),
        Shape.MANY,
        "K=V:EFFECT",
    ),
    Option("cluster-cidr", "Network of the pods, or IPv4,IPv6: two.", BOTH, parsers.cidrs, metavar="CIDR"),
    Option("service-cidr", "Network of the services, or two.", BOTH, parsers.cidrs, metavar="CIDR"),
    Option(
        "cluster-dns",
        "Address of the cluster's DNS.",
        BOTH,
        parsers.address,
        metavar="IP",
        default="the tenth of service-cidr",
    ),
    Option(
        "cluster-domain",
        "DNS domain of the cluster.",
        BOTH,
        parsers.matching(parsers.NAME, "a DNS domain"),
        metavar="DOMAIN",
    ),
    Option("service-node-port-range", "Ports for NodePort services.", BOTH, parsers.port_range, metavar="FIRST-LAST"),
    Option(
        "network-backend",
        "How pods of different nodes reach each other: host-gw, vxlan, wireguard or none.",
        BOTH,
        parsers.one_of("host-gw", "vxlan", "wireguard", "none"),
        metavar="NAME",
    ),
    Option("container-runtime-endpoint", "Socket of containerd.", BOTH, parsers.endpoint, metavar="SOCKET"),
    Option("kubelet-port", "Port of the kubelet.", BOTH, parsers.port, metavar="PORT"),
    Option("resolv-conf", "File the pods' resolver configuration comes from.", BOTH, parsers.path, metavar="FILE"),
    Option(
        "kubelet-config",
        "KubeletConfiguration to follow, as far as pylet lets it be set.",
        BOTH,
        parsers.path,
        metavar="FILE",
    ),
    Option(
        "kubelet-config-dir",
        "Folder of more, *.conf, each said over what was said before.",
        BOTH,
        parsers.path,
        metavar="DIR",
    ),
    Option(
        "image-credential-provider-config",
        "CredentialProviderConfig, or a folder of them: programs that know credentials for images.",
        BOTH,
        parsers.path,
        metavar="PATH",
    ),
    Option("image-credential-provider-bin-dir", "Folder of those programs.", BOTH, parsers.path, metavar="DIR"),
    Option("cgroup-root", "Cgroup below which the pods' are made.", BOTH, str, metavar="PATH"),
    Option(
        "kubelet-dir",
        "Folder of the pods' volumes and of plugins.",
        BOTH,
        parsers.path,
        metavar="DIR",
        default="/var/lib/kubelet; kubelet in a data-dir of your own",
    ),
    Option("pod-log-dir", "Folder of the containers' logs.", BOTH, parsers.path, metavar="DIR"),
    Option("cni-bin-dir", "Folder of the CNI plugins.", BOTH, parsers.path, metavar="DIR"),
    Option("cni-conf-dir", "Folder of the CNI configuration.", BOTH, parsers.path, metavar="DIR"),
    Option(
        "disable",
        "Add-on to leave out: dns, gateway, ingress, local-storage or servicelb.",
        SERVER,
        str,
        Shape.MANY,
        "NAME",
    ),
    Option(
        "secrets-encryption", "Keep Secrets encrypted, with keys of the server's.", SERVER, parsers.flag, Shape.FLAG
    ),
    Option(
        "encryption-provider-config",
        "EncryptionConfiguration with keys of one's own.",
        SERVER,
        parsers.path,
        metavar="FILE",
    ),
    Option("token-auth-file", 'Lines of token,user,uid,"groups".', SERVER, parsers.path, metavar="FILE"),
    Option(
        "authentication-config", "AuthenticationConfiguration: issuers of tokens.", SERVER, parsers.path, metavar="FILE"
    ),
    Option("oidc-issuer-url", "OpenID Connect issuer whose tokens are believed.", SERVER, str, metavar="URL"),
    Option("oidc-client-id", "Audience its tokens have to be for.", SERVER, str, metavar="NAME"),
    Option("oidc-ca-file", "CA of the issuer.", SERVER, parsers.path, metavar="FILE", default="the system's"),
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
        parsers.path,
        metavar="FILE",
    ),
    Option(
        "authentication-token-webhook-version",
        "Version of the TokenReview it is asked with: v1 or v1beta1.",
        SERVER,
        parsers.one_of("v1", "v1beta1"),
        metavar="VERSION",
    ),
    Option(
        "authorization-config",
        "AuthorizationConfiguration: who decides what somebody may.",
        SERVER,
        parsers.path,
        metavar="FILE",
        default="Node, then RBAC",
    ),
    Option(
        "authorization-webhook-config-file",
        "Kubeconfig of a webhook that is asked where Node and RBAC do not allow.",
        SERVER,
        parsers.path,
        metavar="FILE",
    ),
    Option(
        "authorization-webhook-version",
        "Version of the SubjectAccessReview it is asked with: v1 or v1beta1.",
        SERVER,
        parsers.one_of("v1", "v1beta1"),
        metavar="VERSION",
    ),
    Option(
        "admission-control-config-file",
        "AdmissionConfiguration: what plugins go by.",
        SERVER,
        parsers.path,
        metavar="FILE",
    ),
    Option("audit-policy-file", "Audit Policy: which requests are written down.", SERVER, parsers.path, metavar="FILE"),
    Option("audit-log-path", "File they are written to, - for standard output.", SERVER, str, metavar="FILE"),
    Option("audit-log-maxage", "Days to keep old audit logs.", SERVER, parsers.count, metavar="DAYS"),
    Option("audit-log-maxbackup", "Old audit logs to keep.", SERVER, parsers.count, metavar="NUMBER"),
    Option("audit-log-maxsize", "Megabytes an audit log may have.", SERVER, parsers.count, metavar="MB"),
    Option(
        "kube-scheduler-config", "KubeSchedulerConfiguration: other profiles.", SERVER, parsers.path, metavar="FILE"
    ),
    Option(
        "datastore-endpoint",
        "Where the state is kept: sqlite, sqlite://PATH or memory.",
        SERVER,
        parsers.datastore,
        metavar="URL",
        default="sqlite",
    ),
    Option(
        "log-level",
        "debug, info, warning or error.",
        BOTH,
        parsers.one_of("debug", "info", "warning", "error"),
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
                return f"{value:o}" if option.parse is parsers.mode else str(value)
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
