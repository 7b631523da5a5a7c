"""Whom a pod asks for names, and what is told of what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.resolver import dns_config, host_objection, objections
from pylet.agent.kubelet.settings import Settings
from pylet.agent.resolv_conf import ResolvConf, parse, read
from tests.agent.kubelet.builders import pod

LINES = """
# search elsewhere.example
search elsewhere.example
search example.com. .
options ndots:2 rotate
options ndots:3 edns0
"""
HOST = parse(Path("/resolv.conf"), "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 5)) + LINES)
NODE = Settings(
    node_name="n1",
    host_ips=(),
    root=Path("/nowhere"),
    cluster_dns="10.43.0.10",
    host_resolver=lambda: parse(
        Path("/resolv.conf"), "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 5)) + LINES
    ),
)
OMITTED = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is"
CUT = "Search Line limits were exceeded, some search paths have been omitted, the applied search line is"


@pytest.mark.parametrize(
    ("spec", "servers", "searches"),
    [
        ({}, ("10.43.0.10",), ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com")),
        ({"hostNetwork": True}, ("192.0.2.1", "192.0.2.2", "192.0.2.3"), ("example.com",)),
        (
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
            ("10.43.0.10",),
            ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"),
        ),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.9"], "searches": ["a", "a"]}},
            ("192.0.2.9",),
            ("a",),
        ),
    ],
    ids=["the cluster's", "the host's", "the cluster's in the host's network", "its own"],
)
def test_whom_a_pod_asks(spec: Any, servers: tuple[str, ...], searches: tuple[str, ...]) -> None:
    found = dns_config(pod(**spec), NODE)
    assert (found.servers, found.searches) == (servers, searches)


def own(*searches: str, servers: int = 1) -> Any:
    listed = [f"192.0.2.{n}" for n in range(servers)]
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": listed, "searches": list(searches)}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (own("a"), []),
        ({"dnsPolicy": "Default"}, [f"{OMITTED}: 192.0.2.1 192.0.2.2 192.0.2.3"]),
        (own(*(f"a{n}" for n in range(33))), [f"{CUT}: {' '.join(f'a{n}' for n in range(32))}"]),
        (own("a", "b" * 254, "c"), [f"{CUT}: a c"]),
        (own(*(f"{n}{'b' * 250}" for n in range(9))), [f"{CUT}: {' '.join(str(n) + 'b' * 250 for n in range(8))}"]),
    ],
    ids=["all fits", "servers", "too many", "too long a one", "too long together"],
)
def test_what_does_not_fit_is_left_out_and_told(spec: Any, expected: list[str]) -> None:
    assert [*objections(pod(**spec), NODE)] == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"ndots:5"}),
        ({"dnsPolicy": "Default"}, {"ndots:3", "rotate", "edns0"}),
        (
            {"dnsPolicy": "Default", "dnsConfig": {"options": [{"name": "ndots", "value": "1"}, {"name": "trust-ad"}]}},
            {"ndots:1", "rotate", "edns0", "trust-ad"},
        ),
        ({"dnsPolicy": "None", "dnsConfig": {"options": [{"name": "debug", "value": ""}]}}, {"debug"}),
    ],
    ids=["the cluster's", "the host's", "its own over the host's", "its own"],
)
def test_how_a_pod_asks(spec: Any, expected: set[str]) -> None:
    assert set(dns_config(pod(**spec), NODE).options) == expected


def host(*searches: str) -> ResolvConf:
    return parse(Path("/r"), f"search {' '.join(searches)}")


@pytest.mark.parametrize(
    ("found", "domain", "expected"),
    [
        (host("example.com"), "cluster.local", ""),
        (host(*(f"a{n}" for n in range(29))), "cluster.local", ""),
        (
            host(*(f"a{n}" for n in range(30))),
            "cluster.local",
            "Resolv.conf file '/r' contains search line consisting of more than 29 domains!",
        ),
        (host(*(f"a{n}" for n in range(32))), "", ""),
        (
            host("a", "b" * 254),
            "cluster.local",
            'Resolv.conf file "/r" contains a search path which length is more than allowed 253 chars!',
        ),
        (
            host(*(str(n) + "b" * 240 for n in range(9))),
            "cluster.local",
            "Resolv.conf file '/r' contains search line which length is more than allowed 2048 chars!",
        ),
        (parse(Path("/r"), "nameserver"), "", "nameserver list is empty "),
        (read(Path("/nowhere/r")), "", "open /nowhere/r: no such file or directory"),
    ],
    ids=[
        "all is well",
        "as many as fit",
        "no room for the cluster's",
        "as many as there may be",
        "one too long",
        "all too long",
        "nobody named",
        "no file",
    ],
)
def test_what_is_told_of_the_machine_itself(found: ResolvConf, domain: str, expected: str) -> None:
    assert host_objection(found, domain) == expected
