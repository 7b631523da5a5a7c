"""The ConfigMap that tells the cluster's resolver who else to ask."""

from __future__ import annotations

import pytest

from pylet.agent.network.dnssettings import DnsSettings, Resolver, parse


def test_all_of_it() -> None:
    settings, problems = parse(
        {
            "stubDomains": '{"acme.example.": ["192.0.2.53", "192.0.2.54:5353"], "lab.acme.example": ["fd00::53"]}',
            "upstreamNameservers": '["[fd00::54]:54", "192.0.2.55"]',
            "hosts": "192.0.2.80 www.acme.example WWW # ours\n\nfd00::80 www.acme.example\n",
        }
    )
    assert not problems
    assert settings.stub_for("a.b.acme.example") == (Resolver("192.0.2.53"), Resolver("192.0.2.54", 5353))
    assert settings.stub_for("x.lab.acme.example") == (Resolver("fd00::53"),)
    assert settings.stub_for("example") == ()
    assert settings.upstreams == (Resolver("fd00::54", 54), Resolver("192.0.2.55"))
    assert settings.hosts == {"www.acme.example": ("192.0.2.80", "fd00::80"), "www": ("192.0.2.80",)}
    assert settings.names == {"192.0.2.80": "www.acme.example", "fd00::80": "www.acme.example"}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"stubDomains": "{"}, "stubDomains: "),
        ({"stubDomains": "[1]"}, "stubDomains: "),
        ({"stubDomains": '{"a.b": ["somewhere"]}'}, "stubDomains: 'somewhere' does not appear"),
        ({"upstreamNameservers": '["192.0.2.1:0"]'}, "upstreamNameservers: '0' is not a port"),
        ({"hosts": "www 192.0.2.80"}, "hosts: 'www' is not an IP address"),
        ({"hosts": "192.0.2.80 a..b"}, "hosts: 'a..b' is not a name"),
        ({"hosts": f"192.0.2.80 {'x' * 64}.test"}, f"hosts: '{'x' * 64}.test' is not a name"),
        ({"hosts": "192.0.2.80 ."}, "hosts: '.' is not a name"),
    ],
)
def test_a_mistake_is_told_and_the_rest_holds(data: dict[str, str], problem: str) -> None:
    settings, problems = parse({"hosts": "192.0.2.1 fine\n" + data.pop("hosts", ""), **data})
    assert [text[: len(problem)] for text in problems] == [problem]
    assert settings == DnsSettings(hosts={"fine": ("192.0.2.1",)}, names={"192.0.2.1": "fine"})
