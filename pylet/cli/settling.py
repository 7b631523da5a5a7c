"""What all sources together say becomes a server's and an agent's configuration. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pylet.agent.config import AgentConfig
from pylet.api.ip import in_url
from pylet.cli.options import BadOption, Given, Option, Shape, options_of
from pylet.cli.parsers import NAME
from pylet.server.config import ServerConfig


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
    values |= {"server": (f"https://{in_url(address)}:{config.https_listen_port}",)}
    return ServerConfig(**_only(ServerConfig, values), agent=agent_config(values, hostname=hostname))


def _node_name(hostname: str) -> str:
    name = hostname.strip().lower()
    if NAME.fullmatch(name):
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
