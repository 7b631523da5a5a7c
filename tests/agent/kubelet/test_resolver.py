"""Whom a pod asks for names, and what is told of what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.resolver import dns_config, objections
from pylet.agent.kubelet.settings import Settings
from tests.agent.kubelet.builders import pod

NODE = Settings(
    node_name="n1",
    host_ips=(),
    root=Path("/nowhere"),
    cluster_dns="10.43.0.10",
    host_nameservers=("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"),
    host_searches=("example.com",),
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
