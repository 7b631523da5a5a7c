"""Whom a pod asks for names, within what resolvers read. Pure.

Source: upstream `pkg/kubelet/network/dns/dns.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import is_host_network
from pylet.api.object import Object
from pylet.cri.messages import DNSConfig

_MOST_SERVERS, _MOST_SEARCHES = 3, 32
_LONGEST_SEARCH, _LONGEST_SEARCHES = 253, 2048  # characters, of one and of all with the blanks between them


def dns_config(pod: Object, settings: Settings) -> DNSConfig:
    return _within_limits(_asked(pod, settings))


def objections(pod: Object, settings: Settings) -> Iterator[str]:
    """What of the pod's wishes is left out."""
    asked = _asked(pod, settings)
    found = _within_limits(asked)
    if found.servers != asked.servers:
        words = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is"
        yield f"{words}: {' '.join(found.servers)}"
    if found.searches != asked.searches:
        words = "Search Line limits were exceeded, some search paths have been omitted, the applied search line is"
        yield f"{words}: {' '.join(found.searches)}"


def _asked(pod: Object, settings: Settings) -> DNSConfig:
    namespace, policy = pod["metadata"]["namespace"], pod["spec"].get("dnsPolicy", "ClusterFirst")
    if policy == "ClusterFirst" and is_host_network(pod):
        policy = "Default"
    servers: list[str] = []
    searches: list[str] = []
    options: dict[str, str | None] = {}
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet") and settings.cluster_dns:
        domain = settings.cluster_domain
        servers = [settings.cluster_dns]
        searches = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *settings.host_searches]
        options = {"ndots": "5"}
    elif policy != "None":
        servers, searches = list(settings.host_nameservers), list(settings.host_searches)
    own = pod["spec"].get("dnsConfig") or {}
    servers += own.get("nameservers") or []
    searches += own.get("searches") or []
    options |= {option["name"]: option.get("value") for option in own.get("options") or ()}
    return DNSConfig(
        tuple(dict.fromkeys(servers)),
        tuple(dict.fromkeys(searches)),
        tuple(name if value is None else f"{name}:{value}" for name, value in options.items()),
    )


def _within_limits(asked: DNSConfig) -> DNSConfig:
    searches = [search for search in asked.searches[:_MOST_SEARCHES] if len(search) <= _LONGEST_SEARCH]
    while len(" ".join(searches)) > _LONGEST_SEARCHES:
        searches.pop()
    return replace(asked, servers=asked.servers[:_MOST_SERVERS], searches=tuple(searches))
