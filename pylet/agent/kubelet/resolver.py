"""Whom a pod asks for names, within what resolvers read. Pure.

Source: upstream `pkg/kubelet/network/dns/dns.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import is_host_network
from pylet.agent.resolv_conf import ResolvConf
from pylet.api.object import Object
from pylet.cri.messages import DNSConfig

_MOST_SERVERS, _MOST_SEARCHES = 3, 32
_OF_CLUSTER = 3  # domains that pods search in before the machine's
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


def host_objection(host: ResolvConf, domain: str) -> str:
    """What of the machine's own resolv.conf will be left out of pods', or why there is none; "" where all is well."""
    most = _MOST_SEARCHES - (_OF_CLUSTER if domain else 0)
    if host.problem:
        return host.problem
    if len(host.searches) > most:
        return f"Resolv.conf file '{host.path}' contains search line consisting of more than {most} domains!"
    if any(len(search) > _LONGEST_SEARCH for search in host.searches):
        words = f"contains a search path which length is more than allowed {_LONGEST_SEARCH} chars!"
        return f'Resolv.conf file "{host.path}" {words}'
    if len(" ".join(host.searches)) > _LONGEST_SEARCHES:
        words = f"contains search line which length is more than allowed {_LONGEST_SEARCHES} chars!"
        return f"Resolv.conf file '{host.path}' {words}"
    return ""


def _asked(pod: Object, settings: Settings) -> DNSConfig:
    namespace, policy = pod["metadata"]["namespace"], pod["spec"].get("dnsPolicy", "ClusterFirst")
    if policy == "ClusterFirst" and is_host_network(pod):
        policy = "Default"
    servers: list[str] = []
    searches: list[str] = []
    options: dict[str, str] = {}
    host = settings.host_resolver()
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet") and settings.cluster_dns:
        domain = settings.cluster_domain
        servers = [settings.cluster_dns]
        searches = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *host.searches]
        options = {"ndots": "5"}
    elif policy != "None":
        servers, searches = list(host.nameservers), list(host.searches)
        options = {name: value for name, _, value in (option.partition(":") for option in host.options)}
    own = pod["spec"].get("dnsConfig") or {}
    servers += own.get("nameservers") or []
    searches += own.get("searches") or []
    options |= {option["name"]: option.get("value") or "" for option in own.get("options") or ()}
    return DNSConfig(
        tuple(dict.fromkeys(servers)),
        tuple(dict.fromkeys(searches)),
        tuple(f"{name}:{value}" if value else name for name, value in options.items()),
    )


def _within_limits(asked: DNSConfig) -> DNSConfig:
    searches = [search for search in asked.searches[:_MOST_SEARCHES] if len(search) <= _LONGEST_SEARCH]
    while len(" ".join(searches)) > _LONGEST_SEARCHES:
        searches.pop()
    return replace(asked, servers=asked.servers[:_MOST_SERVERS], searches=tuple(searches))
