"""Policies as rules, golden."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pylet.agent.policy import model, ruleset
from pylet.api.object import Key
from tests.agent.policy.builders import named, namespace, pod, policy

GOLDEN = Path(__file__).parents[2] / "golden" / "policy.nft"

POLICIES = [
    policy("deny", ingress=[], egress=[]),
    policy("open", subjects={"pod": "a"}, ingress=[{}], egress=[{}]),
    policy(
        "peers",
        ingress=[
            {
                "from": [
                    {"podSelector": named("b")},
                    {"namespaceSelector": namespace("y")},
                    {"namespaceSelector": namespace("y"), "podSelector": named("b")},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24"]}},
                    {"ipBlock": {"cidr": "2001:db8::/32"}},
                ],
                "ports": [
                    {"port": 80, "protocol": "TCP"},
                    {"port": 90, "endPort": 95},
                    {"port": 93, "endPort": 99},
                    {"port": 53, "protocol": "UDP"},
                    {"protocol": "SCTP"},
                    {"port": "web"},
                ],
            }
        ],
    ),
    policy("names", egress=[{"to": [{"podSelector": named("b")}], "ports": [{"port": "web"}]}]),
]
PODS = [
    pod("a", "10.42.1.2", containers=[{"ports": [{"name": "web", "containerPort": 8080}]}]),
    pod("b", "10.42.1.3", containers=[{"ports": [{"name": "web", "containerPort": 8081}]}]),
    pod("b", "10.42.2.2", namespace="y", node="there"),
]


def test_every_kind_of_policy_has_its_golden_rules() -> None:
    """After a wanted change: PYLET_GOLDEN=write pytest …, then read the difference."""
    compiled = ruleset.compile_policies(map(model.policy, POLICIES))
    pods = [one for each in PODS if (one := model.pod(each, "here"))]
    elements = [
        element
        for each in pods
        for element in ruleset.elements(each, {"kubernetes.io/metadata.name": each.key.namespace}, compiled)
    ]
    text = ruleset.script(compiled, ruleset.combinations(pods, compiled), elements)
    if os.environ.get("PYLET_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        pytest.param([(80, 80), (90, 95), (93, 99)], "80, 90-99", id="one reaches into the next"),
        pytest.param([(80, 99), (90, 95), (97, 97)], "80-99", id="others lie within one"),
        pytest.param([(80, 80), (81, 81), (83, 83)], "80-81, 83", id="neighbours"),
    ],
)
def test_ports_that_meet_are_one_range(ports: list[tuple[int, int]], text: str) -> None:
    asked = [{"port": first, "endPort": last} for first, last in ports]
    compiled = ruleset.compile_policies([model.policy(policy("ports", ingress=[{"ports": asked}]))])
    assert list(compiled.chains.values()) == [(f"tcp dport {{ {text} }} accept",)]


def test_a_thousand_pods_need_no_more_rules_than_one() -> None:
    compiled = ruleset.compile_policies(map(model.policy, POLICIES))
    one = model.Pod(Key("x", "a"), {"pod": "a"}, ("10.42.1.2",), True, ())
    many = [model.Pod(Key("x", f"a{n}"), {"pod": "a"}, (f"10.42.{n >> 8}.{n & 255}",), True, ()) for n in range(1000)]
    assert ruleset.combinations(many, compiled) == ruleset.combinations([one], compiled)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spec": {"hostNetwork": True, "containers": []}}, "the host's network"),
        ({"status": {"phase": "Succeeded", "podIPs": [{"ip": "10.42.1.2"}]}}, "it ended"),
        ({"status": {"phase": "Pending"}}, "no address yet"),
    ],
)
def test_pods_that_policies_do_not_concern(change: dict[str, object], why: str) -> None:
    assert model.pod({**PODS[0], **change}, "here") is None, why
