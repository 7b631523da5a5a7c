"""NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names, selector
from pylet.api.errors import Cause
from pylet.api.ip import network_problems_of, network_warnings, parsed
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("Ingress", "Egress")
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))


class NetworkPolicyStrategy(Strategy):
    """Source: pkg/apis/networking/validation, ValidateNetworkPolicy*."""

    has_generation = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        return _spec(obj["spec"], frozenset())

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        before = (network for _, block in _blocks(old) for _, network in _networks(block, ""))
        return _spec(obj["spec"], frozenset(before))

    def warnings(self, obj: Object) -> Sequence[str]:
        shown = (pair for where, block in _blocks(obj) for pair in _networks(block, where))
        return [text for field, network in shown for text in network_warnings(field, network)]


def _blocks(obj: Object) -> Iterator[tuple[str, Object]]:
    for rules, peers in _DIRECTIONS:
        for position, rule in enumerate(obj["spec"].get(rules) or ()):
            for index, peer in enumerate(rule.get(peers) or ()):
                if "ipBlock" in peer:
                    yield f"spec.{rules}[{position}].{peers}[{index}].ipBlock", peer["ipBlock"]


def _networks(block: Object, where: str) -> Iterator[tuple[str, str]]:
    yield f"{where}.cidr", block.get("cidr", "")
    for position, network in enumerate(block.get("except") or ()):
        yield f"{where}.except[{position}]", network


def _spec(spec: Object, known: frozenset[str]) -> list[Cause]:
    """`known` networks were there before, and are not judged again."""
    found = selector.validate_object(spec.get("podSelector"), "spec.podSelector")
    for rules, peers in _DIRECTIONS:
        for position, rule in enumerate(spec.get(rules) or ()):
            where = f"spec.{rules}[{position}]"
            for index, port in enumerate(rule.get("ports") or ()):
                found += _port(port, f"{where}.ports[{index}]")
            for index, peer in enumerate(rule.get(peers) or ()):
                found += _peer(peer, f"{where}.{peers}[{index}]", known)
    types = spec.get("policyTypes") or ()
    if len(types) > len(_TYPES):
        return [*found, causes.invalid("spec.policyTypes", types, "may not specify more than two policyTypes")]
    for position, type_ in enumerate(types):
        if type_ not in _TYPES:
            found.append(causes.not_supported(f"spec.policyTypes[{position}]", type_, _TYPES))
    return found


def _port(port: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    protocol, number, end = port.get("protocol", "TCP"), port.get("port"), port.get("endPort")
    if protocol not in _PROTOCOLS:
        found.append(causes.not_supported(f"{where}.protocol", protocol, _PROTOCOLS))
    if number is None:
        if end is not None:
            says = "may not be specified when `port` is not specified"
            found.append(causes.invalid(f"{where}.endPort", end, says))
    elif isinstance(number, int):
        found += causes.each(f"{where}.port", number, names.port_number(number))
        if end is not None:
            if end < number:
                found.append(causes.invalid(f"{where}.endPort", number, "must be greater than or equal to `port`"))
            found += causes.each(f"{where}.endPort", end, names.port_number(end))
    else:
        if end is not None:
            says = "may not be specified when `port` is non-numeric"
            found.append(causes.invalid(f"{where}.endPort", end, says))
        found += causes.each(f"{where}.port", number, names.port_name(number))
    return found


def _peer(peer: Object, where: str, known: frozenset[str]) -> list[Cause]:
    found: list[Cause] = []
    for name in ("podSelector", "namespaceSelector"):
        found += selector.validate_object(peer.get(name), f"{where}.{name}")
    if "ipBlock" in peer:
        found += _block(peer["ipBlock"], f"{where}.ipBlock", known)
        if len(peer) > 1:
            found.append(causes.forbidden(where, "may not specify both ipBlock and another peer"))
    elif not peer:
        found.append(causes.required(where, "must specify a peer"))
    return found


def _block(block: Object, where: str, known: frozenset[str]) -> list[Cause]:
    found: list[Cause] = []
    if not block.get("cidr"):
        return [causes.required(f"{where}.cidr")]
    for field, network in _networks(block, where):
        if network not in known:
            found += causes.each(field, network, network_problems_of(network))
        if field.endswith(".cidr"):
            if parsed(network) is None:
                return found
        elif parsed(network) is not None and not _is_within(network, block["cidr"]):
            found.append(causes.invalid(field, network, "must be a strict subset of `cidr`"))
    return found


def _is_within(inner: str, outer: str) -> bool:
    small, big = parsed(inner), parsed(outer)
    assert small is not None
    assert big is not None
    return small[0] == big[0] and small[3] > big[3] and big[1] <= small[1] <= big[2]


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], columns.selector_cell(obj["spec"].get("podSelector")), columns.age(obj, now)]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="NetworkPolicy",
    plural="networkpolicies",
    definition="io.k8s.api.networking.v1.NetworkPolicy",
    short_names=("netpol",),
    strategy=NetworkPolicyStrategy(),
    columns=(
        columns.NAME,
        Column("Pod-Selector", description="The pods it is about."),
        columns.AGE,
    ),
    cells=_cells,
)
