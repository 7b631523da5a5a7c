"""What every member of a cluster must agree on, and the ConfigMap that tells it: `kube-public/pylet-cluster`.

The server writes it from its flags, agents read it after joining, as kubeadm's members read `kubeadm-config`. Keys are
the flags' names, values what a flag would bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pylet.api.object import Key

KEY = Key("kube-public", "pylet-cluster")


class Contradiction(ValueError):
    """A member was told something else than the cluster is; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Field names are the flags' names with underscores."""

    cluster_cidr: str = "10.42.0.0/16"
    """One network or, separated by a comma, one of each IP family, the default family's first; so `service_cidr`."""
    service_cidr: str = "10.43.0.0/16"
    cluster_dns: str = "10.43.0.10"
    cluster_domain: str = "cluster.local"
    service_node_port_range: tuple[int, int] = (30000, 32767)
    """First and last port, both included."""
    network_backend: str = "host-gw"
    """host-gw, vxlan, wireguard or none."""

    @property
    def cluster_cidrs(self) -> tuple[str, ...]:
        return tuple(self.cluster_cidr.split(","))

    @property
    def service_cidrs(self) -> tuple[str, ...]:
        return tuple(self.service_cidr.split(","))

    @property
    def families(self) -> tuple[int, ...]:
        """4 and 6, as the pods have them."""
        return tuple(6 if ":" in cidr else 4 for cidr in self.cluster_cidrs)


NAMES = tuple(member.name for member in fields(ClusterSettings))


def to_data(settings: ClusterSettings) -> dict[str, str]:
    """The ConfigMap's data."""
    return {_flag(name): _text(getattr(settings, name)) for name in NAMES}


def from_data(data: Mapping[str, str]) -> ClusterSettings:
    """What is not there is the default; what is unknown, from a newer server, is not looked at."""
    values: dict[str, Any] = {name: data[_flag(name)] for name in NAMES if _flag(name) in data}
    if ports := values.get("service_node_port_range"):
        first, _, last = ports.partition("-")
        values["service_node_port_range"] = (int(first), int(last))
    return ClusterSettings(**values)


def insist(settings: ClusterSettings, told: Mapping[str, Any]) -> None:
    """Raises: Contradiction, where what a member was told by flags (None: nothing) is not what the cluster is."""
    for name in NAMES:
        value, here = getattr(settings, name), told.get(name)
        if here is not None and here != value:
            raise Contradiction(
                f"--{_flag(name)} {_text(here)} contradicts the cluster, which has {_text(value)}: "
                "take the flag away, an agent reads it from the server"
            )


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _text(value: str | tuple[int, int]) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value))
