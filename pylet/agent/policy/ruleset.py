"""Policies as nftables: rules that know policies alone, and sets to which each pod adds its own elements.

Pure. No rule names a pod: one that comes, goes or changes labels is a few elements.

    ingress4   10.42.0.7 : goto ingress-all-3f…  the pods of this node that policies isolate, and those policies' chain
    peers4-9c… 10.42.3.4                         the pods that one selector means, wherever they run
    ports4-77… 10.42.0.7 . tcp . 8080            where the pods that one selector means have a port of some name

What leaves a pod and what reaches one are two chains of the forward hook: `accept` ends one of them alone. What a node
itself says to its pods, and they to it, is never forwarded: so probes always pass, as the API demands.

A connection is judged by what its caller sends, at every packet: one that a new policy forbids stops, as the API leaves
to implementations. What answers passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from pylet.agent.nftset import Element, SetType
from pylet.agent.policy.model import EVERY_POD, Block, Labels, Pod, Policy, Port, Rule, Selection

TABLE = "pylet-policy"

_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_IP = {4: "ip", 6: "ip6"}
_ELEMENTS_A_COMMAND = 1000
_FIXED = {
    f"{way}{family}": SetType((_ADDRESS[family],), ("verdict",)) for way in ("ingress", "egress") for family in (4, 6)
}
_SELF = {f"self{family}": SetType((_ADDRESS[family], _ADDRESS[family])) for family in (4, 6)}


@dataclass(slots=True)
class Compiled:
    """Some policies as rules, and the sets that these read."""

    policies: tuple[Policy, ...]
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    peers: dict[str, Selection] = field(default_factory=dict)
    """By set name without the family."""
    ports: dict[str, tuple[Selection, str, str]] = field(default_factory=dict)
    """By set name without the family: whose ports, of which name and protocol."""

    @property
    def types(self) -> dict[str, SetType]:
        found = _FIXED | _SELF
        for family, address in _ADDRESS.items():
            found |= {_of(name, family): SetType((address,)) for name in self.peers}
            found |= {_of(name, family): SetType((address, "inet_proto", "inet_service")) for name in self.ports}
        return found


def compile_policies(policies: Iterable[Policy]) -> Compiled:
    compiled = Compiled(tuple(sorted(policies, key=lambda policy: policy.key)))
    for policy in compiled.policies:
        for way, rules in (("ingress", policy.ingress), ("egress", policy.egress)):
            if rules is not None:
                lines = tuple(line for rule in rules for line in _rule_lines(compiled, policy, rule, way))
                compiled.chains[f"{way}-{policy.name}"] = lines
    return compiled


def elements(pod: Pod, namespace_labels: Labels, compiled: Compiled) -> frozenset[Element]:
    """All that this pod adds to sets."""
    return frozenset(_elements(pod, namespace_labels, compiled))


def applying(pod: Pod, policies: Iterable[Policy]) -> list[Policy]:
    return [policy for policy in policies if policy.subjects.holds(pod, {})]


def combination(way: str, policies: Iterable[Policy]) -> str:
    """The chain of pods that are isolated by exactly these policies."""
    names = ",".join(sorted(policy.name for policy in policies))
    return f"{way}-all-{hashlib.sha256(names.encode()).hexdigest()[:12]}"


def combinations(pods: Iterable[Pod], compiled: Compiled) -> dict[str, tuple[str, ...]]:
    """The chains that these pods are sent to."""
    found = {}
    for pod in pods:
        for way, policies in _isolating(pod, compiled):
            jumps = tuple(f'jump {way}-{policy.name} comment "{policy.key}"' for policy in policies)
            found[combination(way, policies)] = (*jumps, "drop")
    return found


def script(compiled: Compiled, combined: Mapping[str, tuple[str, ...]], content: Iterable[Element]) -> str:
    """Writes the table anew, in one transaction."""
    lines = [f"add table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    lines += [f"\t{type_.declare(name)}" for name, type_ in compiled.types.items()]
    for name, rules in (*compiled.chains.items(), *combined.items(), *_HOOKS.items()):
        lines += [f"\tchain {name} {{", *(f"\t\t{rule}" for rule in rules), "\t}"]
    lines.append("}")
    by_set: dict[str, list[str]] = {}
    for name, key, value in sorted(content):
        by_set.setdefault(name, []).append(f"{key} : {value}" if value else key)
    for name, texts in by_set.items():
        for start in range(0, len(texts), _ELEMENTS_A_COMMAND):
            some = ", ".join(texts[start : start + _ELEMENTS_A_COMMAND])
            lines.append(f"add element inet {TABLE} {name} {{ {some} }}")
    return "\n".join([*lines, ""])


def chains_script(chains: Mapping[str, tuple[str, ...]]) -> str:
    lines = []
    for name, rules in chains.items():
        lines += [f"add chain inet {TABLE} {name}", *(f"add rule inet {TABLE} {name} {rule}" for rule in rules)]
    return "\n".join([*lines, ""])


# Bridged packets pass the forward hook too: neighbour discovery between two pods of one node is among them.
_HOOKS = {
    way: (
        f"type filter hook forward priority {priority};",
        "ct direction reply accept",
        "ct state related accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept",
        "ip saddr . ip daddr @self4 accept",
        "ip6 saddr . ip6 daddr @self6 accept",
        f"ip {side} vmap @{way}4",
        f"ip6 {side} vmap @{way}6",
    )
    for way, side, priority in (("egress", "saddr", "filter - 1"), ("ingress", "daddr", "filter"))
}


def _of(name: str, family: int) -> str:
    """peers-9c… → peers4-9c…"""
    kind, _, rest = name.partition("-")
    return f"{kind}{family}-{rest}"


def _isolating(pod: Pod, compiled: Compiled) -> Iterator[tuple[str, list[Policy]]]:
    if not pod.is_here:
        return
    found = applying(pod, compiled.policies)
    for way, policies in (
        ("ingress", [policy for policy in found if policy.ingress is not None]),
        ("egress", [policy for policy in found if policy.egress is not None]),
    ):
        if policies:
            yield way, policies


def _elements(pod: Pod, namespace_labels: Labels, compiled: Compiled) -> Iterator[Element]:
    isolating = list(_isolating(pod, compiled))
    for address in pod.addresses:
        family = 6 if ":" in address else 4
        for way, policies in isolating:
            yield Element(f"{way}{family}", address, f"goto {combination(way, policies)}")
        if isolating:
            yield Element(f"self{family}", f"{address} . {address}")
        for name, selection in compiled.peers.items():
            if selection.holds(pod, namespace_labels):
                yield Element(_of(name, family), address)
        for name, (selection, port_name, protocol) in compiled.ports.items():
            for port in pod.ports:
                if (port.name, port.protocol) == (port_name, protocol) and selection.holds(pod, namespace_labels):
                    yield Element(_of(name, family), f"{address} . {protocol} . {port.number}")


def _rule_lines(compiled: Compiled, policy: Policy, rule: Rule, way: str) -> Iterator[str]:
    far = "saddr" if way == "ingress" else "daddr"
    named = [port for port in rule.ports or () if port.name]
    numbered = [""] if rule.ports is None else list(_numbered([port for port in rule.ports if not port.name]))
    for peer in (None,) if rule.peers is None else rule.peers:
        matches = list(_peer_matches(compiled, peer, far))
        for match in matches:
            for ports in numbered:
                yield " ".join(filter(None, (match, ports, "accept")))
        for port in named:
            yield from _named_lines(compiled, policy, port, peer, matches, way)


def _peer_matches(compiled: Compiled, peer: Selection | Block | None, far: str) -> Iterator[str]:
    match peer:
        case None:
            yield ""
        case Block(cidr, excepted):
            ip = _IP[ip_network(cidr, strict=False).version]
            but = f" {ip} {far} != {{ {', '.join(_collapsed(excepted))} }}" if excepted else ""
            yield f"{ip} {far} {ip_network(cidr, strict=False)}{but}"
        case Selection():
            name = f"peers-{peer.name}"
            compiled.peers[name] = peer
            for family, ip in _IP.items():
                yield f"{ip} {far} @{_of(name, family)}"


def _collapsed(cidrs: Iterable[str]) -> list[str]:
    """Without those inside others: a set of intervals takes no overlaps."""
    networks = sorted({ip_network(cidr, strict=False) for cidr in cidrs}, key=lambda network: network.prefixlen)
    kept: list[str] = []
    for network in networks:
        if not any(network.overlaps(ip_network(other)) for other in kept):
            kept.append(str(network))
    return kept


def _numbered(ports: list[Port]) -> Iterator[str]:
    for protocol in sorted({port.protocol for port in ports}):
        of_protocol = [port for port in ports if port.protocol == protocol]
        if any(not port.first for port in of_protocol):
            yield f"meta l4proto {protocol}"
        else:
            yield f"{protocol} dport {{ {', '.join(_ranges(of_protocol))} }}"


def _ranges(ports: list[Port]) -> Iterator[str]:
    """Merged, for the same reason."""
    merged: list[list[int]] = []
    for first, last in sorted((port.first, port.last) for port in ports):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return (str(first) if first == last else f"{first}-{last}" for first, last in merged)


def _named_lines(
    compiled: Compiled, policy: Policy, port: Port, peer: Selection | Block | None, matches: list[str], way: str
) -> Iterator[str]:
    """A name means what the pod that is called says: the isolated one, or, outward, each of the peers."""
    if way == "ingress":
        whose, others = policy.subjects, matches
    elif isinstance(peer, Block):
        return  # no pod, no names
    else:
        whose, others = peer or EVERY_POD, [""]
    name = f"ports-{hashlib.sha256(f'{whose.name} {port.protocol} {port.name}'.encode()).hexdigest()[:12]}"
    compiled.ports[name] = whose, port.name, port.protocol
    for family, ip in _IP.items():
        for match in others:
            if not match or match.startswith(f"{ip} "):
                target = f"{ip} daddr . meta l4proto . th dport @{_of(name, family)}"
                yield " ".join(filter(None, (match, target, "accept")))
