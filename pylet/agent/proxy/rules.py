"""The fixed rules of the service proxy, in nft's own language, and the sets and maps that they read.

Pure. What must hold: marks are left alone (they steer other people's routing), no node port answers on a loopback
address, an address of the service range that is no service never leaves the node, and only this table is touched.

The number of an endpoint travels from one rule of a chain to the next in the packet's priority, which routing sets
anew right after; a number inside the key itself (`typeof numgen …`) loads, but nft 1.0.6 then refuses every later rule
about that map. nft 1.0.6 knows priorities by name only at their usual hooks: -100 at the output hook is "dstnat". What
comes from elsewhere is refused right behind the translation (-90), before routing: the kernel sends no ICMP error for a
packet that would leave by the on-link route it came in by. `ct original proto-dst` has a size only once the protocol is
known. A sticky client is noted in a map with a timeout, over IPv6 by a rule that nft 1.0.6 cannot write (`raw_rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from pylet.agent import nftrule
from pylet.agent.nftset import SetType

COMMON_COUNT = 8
"""Services of up to so many endpoints find their chain there; others bring it along."""

_AFFINITY_SECONDS = 10800  # the API's default
_PROTOCOLS = ("tcp", "udp", "sctp")
_CHAIN = re.compile(r"(pick|stick|remember)(-outside)?([46])-(\d+)")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the fixed rules need to know of the cluster."""

    table: str = "pylet"
    cluster_cidrs: tuple[str, ...] = ("10.42.0.0/16",)
    service_cidrs: tuple[str, ...] = ("10.43.0.0/16",)
    masquerades_pods: bool = True
    """Pods leave the cluster with the node's address; a network that is not pylet's sees to that itself."""


def _types(family: int) -> dict[str, SetType]:
    address = f"ipv{family}_addr"
    frontend, endpoint, verdict = (address, "inet_proto", "inet_service"), (address, "inet_service"), ("verdict",)
    return {
        f"service{family}": SetType(frontend, verdict),
        f"endpoint{family}": SetType(("classid", *frontend), endpoint),
        f"inside{family}": SetType(frontend, verdict),
        f"outside{family}": SetType(frontend, verdict),
        f"outside-endpoint{family}": SetType(("classid", *frontend), endpoint),
        f"host-port{family}": SetType(("inet_proto", "inet_service"), endpoint),
        f"refused{family}": SetType(frontend),
        f"masquerade{family}": SetType(frontend),
        f"hairpin{family}": SetType((address, address)),
        f"guarded{family}": SetType(frontend),
        f"admitted{family}": SetType((address, *frontend), flags="interval"),
        f"sticky{family}": SetType(frontend, verdict),
    }


TYPES = {**_types(4), **_types(6)}
"""What the proxy writes."""

AFFINITY = {
    f"affinity{family}": SetType(
        (f"ipv{family}_addr", f"ipv{family}_addr", "inet_proto", "inet_service"),
        (f"ipv{family}_addr", "inet_service"),
        "dynamic,timeout",
    )
    for family in (4, 6)
}
"""Client and frontend → its endpoint: what the kernel itself notes of sticky services."""


def script(layout: Layout) -> str:
    """Brings the rules of the table, new or of an earlier run, to what they should be; elements stay."""
    table = f"inet {layout.table}"
    chains = _fixed(layout) | {name: ("", _counted(name)) for name in _COMMON}
    lines = [f"add table {table}"]
    for name, (hook, _) in chains.items():
        lines += [f"add chain {table} {name}{f' {{ {hook}; }}' if hook else ''}", f"flush chain {table} {name}"]
    lines.append(f"table {table} {{")
    lines += [f"\t{type_.declare(name)}" for name, type_ in (TYPES | AFFINITY).items()]
    for name, (_, rules) in chains.items():
        lines += [f"\tchain {name} {{", *(f"\t\t{rule}" for rule in rules), "\t}"]
    return "\n".join([*lines, "}", ""])


def chains_script(layout: Layout, names: Iterable[str]) -> str:
    """Makes these chains, whether or not they are there already."""
    lines = []
    for name in names:
        chain = f"inet {layout.table} {name}"
        lines += [
            f"add chain {chain}",
            f"flush chain {chain}",
            *(f"add rule {chain} {rule}" for rule in _counted(name)),
        ]
    return "\n".join([*lines, ""])


def raw_rules(names: Iterable[str]) -> dict[str, bytes]:
    """By chain, what `chains_script` leaves out: rules as the kernel's bytes."""
    matches = [(name, _CHAIN.fullmatch(name)) for name in names]
    return {
        name: nftrule.remember_ip6("affinity6", int(match[4]))
        for name, match in matches
        if match and match[1] == "remember" and match[3] == "6"
    }


def is_fixed(chain: str) -> bool:
    """Whether `script` makes this chain."""
    return chain in _COMMON or _CHAIN.fullmatch(chain) is None


_COMMON = [
    *(f"pick{family}-{count}" for family in (4, 6) for count in range(1, COMMON_COUNT + 1)),
    f"remember4-{_AFFINITY_SECONDS}",
]


def _counted(name: str) -> list[str]:
    """The rules of a chain for a number of endpoints, or of seconds."""
    match = _CHAIN.fullmatch(name)
    assert match, name
    way, outside, family, number = match[1], match[2], match[3], int(match[4])
    ip = "ip" if family == "4" else "ip6"
    frontend = f"{ip} daddr . meta l4proto . th dport"
    if way == "remember" and family == "6":
        return []
    if way == "remember":
        call = f"ct original ip saddr . {_original(ip)}"
        return [
            f"meta l4proto {protocol} update @affinity4 {{ {call} timeout {number}s : ip daddr . th dport }}"
            for protocol in _PROTOCOLS
        ]
    endpoints = f"@{'outside-' if outside else ''}endpoint{family}"
    return [
        *([f"dnat {ip} to {ip} saddr . {frontend} map @affinity{family}"] if way == "stick" else []),
        f"meta priority set numgen random mod {number}",
        f"dnat {ip} to meta priority . {frontend} map {endpoints}",
    ]


def _original(ip: str) -> str:
    return f"ct original {ip} daddr . meta l4proto . ct original proto-dst"


def _rejected(what: str) -> tuple[str, str]:
    """TCP is reset: the node itself would wait in vain for an ICMPv6 error about what it sends."""
    return f"meta l4proto tcp {what} reject with tcp reset", f"{what} reject"


def _fixed(layout: Layout) -> dict[str, tuple[str, list[str]]]:
    """By chain: its hook, if it has one, and its rules."""
    services, guard, leave = [], [], []
    refuse: list[str] = []
    masquerade = [
        f"meta l4proto {protocol} {_original(ip)} vmap @sticky{family}"
        for family, ip in ((4, "ip"), (6, "ip6"))
        for protocol in _PROTOCOLS
    ]
    ways: dict[str, tuple[str, list[str]]] = {}
    for family, ip, loopback, multicast in ((4, "ip", "127.0.0.0/8", "224.0.0.0/4"), (6, "ip6", "::1", "ff00::/8")):
        pods, own = _networks(layout.cluster_cidrs, family), _networks(layout.service_cidrs, family)
        frontend = f"{ip} daddr . meta l4proto . th dport"
        services += [
            f"{frontend} vmap @service{family}",
            f"{ip} daddr != {loopback} fib daddr type local "
            f"dnat {ip} to meta l4proto . th dport map @host-port{family}",
        ]
        inside = [f"{ip} saddr {pods}"] if pods else []
        ways[f"two-ways{family}"] = (
            "",
            [
                *(f"{who} {frontend} vmap @inside{family}" for who in (*inside, "fib saddr type local")),
                f"{frontend} vmap @outside{family}",
            ],
        )
        guard.append(f"{frontend} @guarded{family} {ip} saddr . {frontend} != @admitted{family} drop")
        refuse += _rejected(f"{frontend} @refused{family}")
        masquerade += [
            f"{ip} saddr . {ip} daddr @hairpin{family} masquerade fully-random",
            *(
                f"meta l4proto {protocol} {_original(ip)} @masquerade{family} masquerade fully-random"
                for protocol in _PROTOCOLS
            ),
        ]
        if own:
            refuse += _rejected(f"{ip} daddr {own} fib daddr type != local")
            strangers = f"{ip} saddr != {pods} " if pods else ""
            masquerade.append(f"{strangers}ct original {ip} daddr {own} masquerade fully-random")
        if pods and layout.masquerades_pods:
            leave.append(f"{ip} saddr {pods} {ip} daddr != {pods} {ip} daddr != {multicast} masquerade fully-random")
    masquerade.append("fib saddr type local masquerade fully-random")
    return {
        "guard": ("", guard),
        "guard-prerouting": ("type filter hook prerouting priority -110", ["ct state new jump guard"]),
        "guard-output": ("type filter hook output priority -110", ["ct state new jump guard"]),
        **ways,
        "services": ("", services),
        "prerouting": ("type nat hook prerouting priority dstnat", ["jump services"]),
        "output": ("type nat hook output priority -100", ["jump services"]),
        "refuse": ("", refuse),
        "refuse-prerouting": ("type filter hook prerouting priority -90", ["ct state new jump refuse"]),
        "refuse-output": ("type filter hook output priority filter", ["ct state new jump refuse"]),
        "masquerade-service": ("", masquerade),
        "leave": ("", leave),
        "postrouting": (
            "type nat hook postrouting priority srcnat",
            ["ct status dnat jump masquerade-service", "jump leave"],
        ),
    }


def _networks(cidrs: Iterable[str], family: int) -> str:
    """As an anonymous set; empty where the family has none."""
    of_family = [cidr for cidr in cidrs if ip_network(cidr).version == family]
    return f"{{ {', '.join(of_family)} }}" if of_family else ""
