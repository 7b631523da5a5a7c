"""Which nftables rules and map elements serve a set of service ports.

Pure; text in nft's own language, as `nft -f` reads it. The rules are fixed: services are map elements alone, and there
is one small chain per endpoint *count* (not per service), so a change touches its own elements and nothing else:

    service4             10.43.0.1 . tcp . 80 : goto pick-service4-3     which chain
    service-endpoint4    0:2 . 10.43.0.1 . tcp . 80 : 10.42.0.7 . 8080   which endpoint is number 2

The number travels from the one rule of the chain to the other in the packet's priority, which routing sets anew right
after. The mark is not for us, it steers other people's routing; and a number inside the key itself (`typeof numgen …`)
loads, but nft 1.0.6 then refuses every later rule about that map.

What must hold: marks are left alone, node ports never answer on loopback addresses, an address of the service range
that is no service never leaves the node, and only this table is touched.
Two things several services may need alike, the chains and the elements of `hairpin*`; `Installed` counts them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import NamedTuple, TypeAlias, TypeVar

from pylet.agent.proxy.model import Backend, ServicePort

Elements: TypeAlias = dict[str, dict[str, str]]
"""By map or set name: key → value; the value is "" in a set."""

T = TypeVar("T")

_ELEMENTS_A_COMMAND = 1000


class Pick(NamedTuple):
    """A chain that sends a new connection to one of `count` endpoints."""

    kind: str
    """service or node."""
    family: int
    size: int
    is_sticky: bool

    @property
    def name(self) -> str:
        return f"{'stick' if self.is_sticky else 'pick'}-{self.kind}{self.family}-{self.size}"

    @property
    def rules(self) -> tuple[str, str]:
        ip = "ip" if self.family == 4 else "ip6"
        number = f"jhash {ip} saddr mod {self.size}" if self.is_sticky else f"numgen random mod {self.size}"
        frontend = f"{ip} daddr . meta l4proto . th dport" if self.kind == "service" else "meta l4proto . th dport"
        endpoints = f"@{self.kind}-endpoint{self.family}"
        return f"meta priority set {number}", f"dnat {ip} to meta priority . {frontend} map {endpoints}"


@dataclass(frozen=True, slots=True)
class Layout:
    """What the fixed rules need to know of the cluster."""

    table: str = "pylet"
    cluster_cidrs: tuple[str, ...] = ("10.42.0.0/16",)
    service_cidrs: tuple[str, ...] = ("10.43.0.0/16",)
    masquerades_pods: bool = True
    """Pods leave the cluster with the node's address; a network that is not pylet's sees to that itself."""


@dataclass(slots=True)
class Ruleset:
    """What some services need; those of different services differ in every element but the counted ones."""

    elements: Elements = field(default_factory=lambda: defaultdict(dict))
    picks: Counter[Pick] = field(default_factory=Counter)
    local: Counter[str] = field(default_factory=Counter)
    """Endpoints on this node, which may call their own service and would then answer themselves directly."""


@dataclass(frozen=True, slots=True)
class Changes:
    """One transaction's worth of difference."""

    added: Elements
    deleted: Elements
    new_chains: tuple[Pick, ...]
    dead_chains: tuple[Pick, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.deleted or self.new_chains or self.dead_chains)


class Installed:
    """How many of the services in the kernel's table need each of the things that services share."""

    def __init__(self) -> None:
        self._picks: Counter[Pick] = Counter()
        self._local: Counter[str] = Counter()

    def rule_count(self, layout: Layout) -> int:
        """How many rules the table holds: fewer in the kernel means that somebody took some."""
        lines = _fixed(layout).splitlines()
        fixed = sum(line.startswith("\t\t") and not line.startswith("\t\ttype ") for line in lines)
        return fixed + sum(len(pick.rules) for pick in self._picks)

    def change(self, before: Ruleset, after: Ruleset) -> Changes:
        """What turns the table from holding `before` (of the services that changed) to holding `after`."""
        added, deleted = diff(before.elements, after.elements)
        new_chains, dead_chains = _recount(self._picks, before.picks, after.picks)
        for elements, addresses in zip((added, deleted), _recount(self._local, before.local, after.local), strict=True):
            for address in sorted(addresses):
                elements.setdefault(f"hairpin{6 if ':' in address else 4}", {})[f"{address} . {address}"] = ""
        return Changes(added, deleted, tuple(sorted(new_chains)), tuple(sorted(dead_chains)))


def build(ports: Iterable[ServicePort]) -> Ruleset:
    """What these ports need."""
    wanted = Ruleset()
    for port in ports:
        frontend = f"{port.address} . {port.protocol} . {port.port}"
        _add(wanted, port, "service", frontend, port.internal)
        if port.node_port:
            _add(wanted, port, "node", f"{port.protocol} . {port.node_port}", port.external)
            if not port.is_local_external:
                wanted.elements[f"masquerade-{port.protocol}"][str(port.node_port)] = ""
    return wanted


def diff(current: Elements, wanted: Elements) -> tuple[Elements, Elements]:
    """The elements to add and to delete; one whose value changes is in both, for the kernel replaces none."""
    return _missing(wanted, current), _missing(current, wanted)


def render(layout: Layout, ruleset: Ruleset) -> str:
    """The script that makes the table hold exactly this, whatever an earlier run left in it."""
    changes = Installed().change(Ruleset(), ruleset)
    table = f"inet {layout.table}"
    return f"add table {table}\ndelete table {table}\n{_fixed(layout)}{render_changes(layout, changes)}"


def render_changes(layout: Layout, changes: Changes) -> str:
    """The script that takes the table, which holds `fixed` rules and elements, through one change."""
    table = f"inet {layout.table}"
    lines = []
    for pick in changes.new_chains:
        lines.append(f"add chain {table} {pick.name}")
        lines += [f"add rule {table} {pick.name} {rule}" for rule in pick.rules]
    lines += _element_lines(f"delete element {table}", changes.deleted)
    lines += _element_lines(f"add element {table}", changes.added)
    for pick in changes.dead_chains:
        lines += [f"flush chain {table} {pick.name}", f"delete chain {table} {pick.name}"]
    return "".join(f"{line}\n" for line in lines)


def _add(wanted: Ruleset, port: ServicePort, kind: str, frontend: str, backend: Backend) -> None:
    family, endpoints = port.family, backend.endpoints
    if not endpoints:
        if backend.has_remote:
            wanted.elements[f"{kind}{family}"][frontend] = "drop"
        else:
            wanted.elements[f"refused-{kind}{family}"][frontend] = ""
        return
    pick = Pick(kind, family, len(endpoints), port.is_sticky)
    wanted.picks[pick] += 1
    wanted.elements[f"{kind}{family}"][frontend] = f"goto {pick.name}"
    numbered = wanted.elements[f"{kind}-endpoint{family}"]
    for number, endpoint in enumerate(endpoints):
        numbered[f"0:{number:x} . {frontend}"] = f"{endpoint.address} . {endpoint.port}"
        if endpoint.is_local:
            wanted.local[endpoint.address] += 1


def _missing(of: Elements, other: Elements) -> Elements:
    found = {}
    for name, elements in of.items():
        there = other.get(name, {})
        if rest := {key: value for key, value in elements.items() if there.get(key) != value}:
            found[name] = rest
    return found


def _recount(total: Counter[T], before: Counter[T], after: Counter[T]) -> tuple[list[T], list[T]]:
    """Bring the total up to date; what it counts for the first time, and what no longer."""
    appeared, vanished = [], []
    for key in before.keys() | after.keys():
        old = total[key]
        new = total[key] = old - before[key] + after[key]
        if new and not old:
            appeared.append(key)
        elif not new:
            del total[key]
            if old:
                vanished.append(key)
    return appeared, vanished


def _element_lines(command: str, elements: Elements) -> Iterator[str]:
    for name, of in sorted(elements.items()):
        with_value = command.startswith("add")
        texts = [f"{key} : {value}" if value and with_value else key for key, value in of.items()]
        for start in range(0, len(texts), _ELEMENTS_A_COMMAND):
            elements_text = ",\n\t".join(texts[start : start + _ELEMENTS_A_COMMAND])
            yield f"{command} {name} {{ {elements_text} }}"


def _fixed(layout: Layout) -> str:
    ranges = [
        (f"{name}{family}", f"ipv{family}_addr", [cidr for cidr in cidrs if ip_network(cidr).version == family])
        for name, cidrs in (("pods", layout.cluster_cidrs), ("services", layout.service_cidrs))
        for family in (4, 6)
    ]
    lines = [f"table inet {layout.table} {{"]
    for name, type_, cidrs in ranges:
        content = f"elements = {{ {', '.join(cidrs)} }}; " if cidrs else ""
        lines.append(f"\tset {name} {{ type {type_}; flags interval; {content}}}")
    for family in (4, 6):
        lines += _SETS.format(family=family).splitlines()
    lines += _RULES.splitlines()
    if layout.masquerades_pods:
        lines += _LEAVING.splitlines()
    return "\n".join([*lines, "}", ""])


_SETS = """\
	map service{family} {{ type ipv{family}_addr . inet_proto . inet_service : verdict; }}
	map service-endpoint{family} {{
		type classid . ipv{family}_addr . inet_proto . inet_service : ipv{family}_addr . inet_service;
	}}
	set refused-service{family} {{ type ipv{family}_addr . inet_proto . inet_service; }}
	map node{family} {{ type inet_proto . inet_service : verdict; }}
	map node-endpoint{family} {{ type classid . inet_proto . inet_service : ipv{family}_addr . inet_service; }}
	set refused-node{family} {{ type inet_proto . inet_service; }}
	set hairpin{family} {{ type ipv{family}_addr . ipv{family}_addr; }}
"""

# nft 1.0.6 knows priorities by name only at their usual hooks: -100 at the output hook is "dstnat". What comes from
# elsewhere is refused right behind the translation (-90), before routing: the kernel sends no ICMP error for a packet
# that would leave by the on-link route it came in by.
_RULES = """\
	set masquerade-tcp { type inet_service; }
	set masquerade-udp { type inet_service; }
	set masquerade-sctp { type inet_service; }

	chain services {
		ip daddr . meta l4proto . th dport vmap @service4
		ip6 daddr . meta l4proto . th dport vmap @service6
		ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @node4
		ip6 daddr != ::1 fib daddr type local meta l4proto . th dport vmap @node6
	}
	chain prerouting {
		type nat hook prerouting priority dstnat;
		jump services
	}
	chain output {
		type nat hook output priority -100;
		jump services
	}

	chain refuse {
		ip daddr . meta l4proto . th dport @refused-service4 reject
		ip6 daddr . meta l4proto . th dport @refused-service6 reject
		ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport @refused-node4 reject
		ip6 daddr != ::1 fib daddr type local meta l4proto . th dport @refused-node6 reject
		ip daddr @services4 fib daddr type != local reject
		ip6 daddr @services6 fib daddr type != local reject
	}
	chain refuse-prerouting {
		type filter hook prerouting priority -90;
		ct state new jump refuse
	}
	chain refuse-output {
		type filter hook output priority filter;
		ct state new jump refuse
	}

	chain postrouting {
		type nat hook postrouting priority srcnat;
		ct status dnat jump masquerade-service
	}
	chain masquerade-service {
		ip saddr . ip daddr @hairpin4 masquerade fully-random
		ip6 saddr . ip6 daddr @hairpin6 masquerade fully-random
		ip saddr != @pods4 ct original ip daddr @services4 masquerade fully-random
		ip6 saddr != @pods6 ct original ip6 daddr @services6 masquerade fully-random
		meta l4proto tcp ct original proto-dst @masquerade-tcp masquerade fully-random
		meta l4proto udp ct original proto-dst @masquerade-udp masquerade fully-random
		meta l4proto sctp ct original proto-dst @masquerade-sctp masquerade fully-random
	}
"""

_LEAVING = """\
	chain leave {
		type nat hook postrouting priority srcnat;
		ip saddr @pods4 ip daddr != @pods4 ip daddr != 224.0.0.0/4 masquerade fully-random
		ip6 saddr @pods6 ip6 daddr != @pods6 ip6 daddr != ff00::/8 masquerade fully-random
	}
"""
