"""What the policies say, and what they need to know of a pod.

Pure. Behaviour: the NetworkPolicy API's own documentation (staging/src/k8s.io/api/networking/v1/types.go).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pylet.api.containers import planned
from pylet.api.object import Key, Object, dig, key_of, labels_of
from pylet.api.podtemplate import is_finished
from pylet.api.selector import LabelSelector, from_object

Labels = Mapping[str, str]


class NamedPort(NamedTuple):
    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that has addresses of its own."""

    key: Key
    labels: Labels
    addresses: tuple[str, ...]
    is_here: bool
    ports: tuple[NamedPort, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Some pods: of one namespace, or of the namespaces with certain labels."""

    namespace: str
    """Empty where `namespaces` says it."""
    namespaces: LabelSelector
    pods: LabelSelector

    @property
    def name(self) -> str:
        """The same for all that select the same way: they share what is made of it."""
        return _digest(self.namespace, str(self.namespaces), str(self.pods))

    def holds(self, pod: Pod, namespace_labels: Labels) -> bool:
        if self.namespace:
            return pod.key.namespace == self.namespace and self.pods(pod.labels)
        return self.pods(pod.labels) and self.namespaces(namespace_labels)


EVERY_POD = Selection("", LabelSelector(()), LabelSelector(()))


@dataclass(frozen=True, slots=True)
class Block:
    cidr: str
    excepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Port:
    protocol: str
    first: int = 0
    """0 for every port of the protocol."""
    last: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    peers: tuple[Selection | Block, ...] | None
    """None for everybody."""
    ports: tuple[Port, ...] | None
    """None for every port of every protocol."""


@dataclass(frozen=True, slots=True)
class Policy:
    key: Key
    subjects: Selection
    ingress: tuple[Rule, ...] | None
    """None where the policy does not isolate its pods in that direction."""
    egress: tuple[Rule, ...] | None

    @property
    def name(self) -> str:
        return _digest(*self.key)


def policy(obj: Object) -> Policy:
    spec, key = obj["spec"], key_of(obj)
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return Policy(
        key,
        Selection(key.namespace, LabelSelector(()), from_object(spec.get("podSelector") or {})),
        tuple(_rules(spec.get("ingress"), "from", key.namespace)) if "Ingress" in types else None,
        tuple(_rules(spec.get("egress"), "to", key.namespace)) if "Egress" in types else None,
    )


def pod(obj: Object, node: str) -> Pod | None:
    """None for what has no addresses of its own: on the host's network, not started yet, or ended."""
    addresses = addresses_of(obj)
    if not addresses or dig(obj, "spec", "hostNetwork") or is_finished(obj):
        return None
    ports = tuple(
        NamedPort(port["name"], port.get("protocol", "TCP").lower(), port["containerPort"])
        for container in planned(obj["spec"])
        for port in container.get("ports") or ()
        if port.get("name")
    )
    return Pod(key_of(obj), labels_of(obj), addresses, obj["spec"].get("nodeName") == node, ports)


def addresses_of(obj: Object) -> tuple[str, ...]:
    return tuple(item["ip"] for item in dig(obj, "status", "podIPs", default=()) or ())


def _rules(rules: list[Object] | None, peers_field: str, namespace: str) -> Iterator[Rule]:
    for rule in rules or ():
        peers, ports = rule.get(peers_field) or (), rule.get("ports") or ()
        yield Rule(
            tuple(_peer(peer, namespace) for peer in peers) if peers else None,
            tuple(_port(port) for port in ports) if ports else None,
        )


def _peer(peer: Object, namespace: str) -> Selection | Block:
    if block := peer.get("ipBlock"):
        return Block(block["cidr"], tuple(block.get("except") or ()))
    pods = from_object(peer.get("podSelector") or {})
    if "namespaceSelector" in peer:
        return Selection("", from_object(peer["namespaceSelector"]), pods)
    return Selection(namespace, LabelSelector(()), pods)


def _port(port: Object) -> Port:
    protocol = port.get("protocol", "TCP").lower()
    number = port.get("port")
    if number is None:
        return Port(protocol)
    if isinstance(number, str):
        return Port(protocol, name=number)
    return Port(protocol, number, port.get("endPort") or number)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
