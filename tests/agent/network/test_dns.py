"""The cluster's resolver, asked by dnspython: names of the cluster, names from elsewhere, and what is no question."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from pylet.agent.network.dns import Dns
from pylet.agent.resolv_conf import HostResolver
from pylet.aio.clock import SystemClock
from pylet.api.kind import Kind
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object
from pylet.client.interface import Tables
from pylet.client.view import Entry, Table
from tests.netns import Lab, Member, needs_netns
from tests.waiting import until, until_it_holds

pytestmark = needs_netns

ADDRESS = "10.43.0.10"
KUBE_DNS: Object = {"metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {"clusterIP": ADDRESS}}
WEB = "web.default.svc.cluster.local"


def _service(name: str, **spec: object) -> Object:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": ports, **spec}}


def _tables() -> tuple[Table, Table]:
    services, slices = Table(SERVICE), Table(ENDPOINT_SLICE)
    for service in (
        _service("web", clusterIP="10.43.0.7", clusterIPs=["10.43.0.7", "fd43::7"]),
        _service("pets", clusterIP="None", clusterIPs=["None"]),
        _service("many", clusterIP="None", clusterIPs=["None"]),
        _service("outside", type="ExternalName", externalName="www.example.test"),
        KUBE_DNS,
    ):
        services.put(Entry.of(SERVICE, service))
    for name, endpoints in (
        (
            "pets",
            [{"addresses": ["10.42.0.1"], "hostname": "pets-0"}, {"addresses": ["10.42.1.9"], "hostname": "pets-1"}],
        ),
        ("many", [{"addresses": [f"10.42.2.{number}"]} for number in range(1, 101)]),
    ):
        meta = {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}}
        ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
        item = {"metadata": meta, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}
        slices.put(Entry.of(ENDPOINT_SLICE, item))
    return services, slices


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A node with the resolver, and somebody at 10.77.0.12 who knows all the names of the world.

    The node hears of him later than the resolver begins.
    """
    file = tmp_path_factory.mktemp("machine") / "resolv.conf"
    file.touch()
    with Lab(nodes=2) as lab:
        one, two = lab.nodes
        threads = [_in(two, _upstream), _in(one, partial(_resolver, file))]
        for thread in threads:
            thread.start()
        try:
            with one.entered():
                until_it_holds("the resolver answers", _is_there)
                file.write_text("nameserver 10.77.0.12\n")
                until_it_holds("whom the machine asks is asked", lambda: ask("www.example.test").answer, seconds=20)
            yield one
        finally:
            _stopped.set()
            for thread in threads:
                thread.join()


_stopped = threading.Event()
_passed_on: list[dns.message.Message] = []


def _in(member: Member, target: object) -> threading.Thread:
    def run() -> None:
        with member.entered():
            target()  # type: ignore[operator]

    return threading.Thread(target=run)


class NoSettings:
    """Nobody has told the resolver anything."""

    async def object_table(self, kind: Kind, key: Key) -> Table:
        return Table(kind)

    def release(self, kind: Kind, key: Key) -> None:
        pass


def _resolver(file: Path) -> None:
    async def main() -> None:
        clock = SystemClock()
        host = HostResolver(file, clock)
        resolver = Dns(*_tables(), clock, address=ADDRESS, domain="cluster.local", host=host)
        following = resolver.follow(cast(Tables, NoSettings()))
        running = [asyncio.create_task(part) for part in (resolver.run(), following, host.run())]
        await asyncio.to_thread(_stopped.wait)
        for part in running:
            part.cancel()
        await asyncio.wait(running)

    asyncio.run(main())


def _upstream() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("10.77.0.12", 53))
        udp.settimeout(0.1)
        while not _stopped.is_set():
            try:
                packet, client = udp.recvfrom(4096)
            except TimeoutError:
                continue
            try:
                query = dns.message.from_wire(packet)
            except dns.exception.DNSException:
                continue  # the garbage that is passed on
            _passed_on.append(query)
            reply = dns.message.make_response(query)
            question = query.question[0]
            if question.name.to_text().startswith("www."):
                reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", "A", "192.0.2.80"))
            else:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            udp.sendto(reply.to_wire(), client)


def ask(name: str, type_: str = "A", *, tcp: bool = False, edns: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, type_, use_edns=0 if edns else -1)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, ADDRESS, timeout=30 if type_ != "TXT" else 1)


def _is_there() -> bool:
    try:
        return bool(ask("dns-version.cluster.local", "TXT"))
    except (dns.exception.Timeout, OSError):
        return False


def answers(reply: dns.message.Message) -> set[str]:
    return {item.to_text() for rrset in reply.answer for item in rrset}


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        pytest.param("web.default.svc.cluster.local", "A", {"10.43.0.7"}, id="a service's address"),
        pytest.param("WEB.Default.svc.cluster.local", "A", {"10.43.0.7"}, id="in any case"),
        pytest.param("web.default.svc.cluster.local", "AAAA", {"fd43::7"}, id="its other family"),
        pytest.param("_http._tcp.web.default.svc.cluster.local", "SRV", {f"0 100 80 {WEB}."}, id="SRV"),
        pytest.param("pets.default.svc.cluster.local", "A", {"10.42.0.1", "10.42.1.9"}, id="a headless service"),
        pytest.param("pets-1.pets.default.svc.cluster.local", "A", {"10.42.1.9"}, id="one of its hosts"),
        pytest.param(
            "_http._tcp.pets.default.svc.cluster.local",
            "SRV",
            {f"0 100 8080 pets-{number}.pets.default.svc.cluster.local." for number in (0, 1)},
            id="SRV of a headless service",
        ),
        pytest.param("10-42-0-1.default.pod.cluster.local", "A", {"10.42.0.1"}, id="a pod"),
        pytest.param("dns-version.cluster.local", "TXT", {'"1.1.0"'}, id="the version of the specification"),
        pytest.param("7.0.43.10.in-addr.arpa", "PTR", {f"{WEB}."}, id="who has a service's address"),
        pytest.param(
            "9.1.42.10.in-addr.arpa", "PTR", {"pets-1.pets.default.svc.cluster.local."}, id="who has a host's address"
        ),
        pytest.param(
            "outside.default.svc.cluster.local", "A", {"www.example.test.", "192.0.2.80"}, id="an external name"
        ),
        pytest.param("www.example.test", "A", {"192.0.2.80"}, id="a name from elsewhere"),
    ],
)
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_it_answers(node: Member, name: str, type_: str, expected: set[str], tcp: bool) -> None:
    if tcp and "test" in {label for text in (*expected, name) for label in text.rstrip(".").split(".")}:
        pytest.skip("the lab's world speaks UDP alone")
    with node.entered():
        for _ in range(2):  # worked out, then remembered
            reply = ask(name, type_, tcp=tcp)
            assert (reply.rcode(), answers(reply)) == (dns.rcode.NOERROR, expected)


def test_it_tells_what_it_answered_where_coredns_does(node: Member) -> None:
    def told() -> int:
        with urllib.request.urlopen(f"http://{ADDRESS}:9153/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
            text = answer.read().decode()
        (count,) = re.findall(r'^coredns_dns_requests_total{proto="udp"} (\d+)$', text, re.MULTILINE)
        return int(count)

    with node.entered():
        before = told()
        ask("dns-version.cluster.local", "TXT")
        assert told() == before + 1
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{ADDRESS}:9153/", timeout=30)


@pytest.mark.parametrize(
    ("name", "type_", "code"),
    [
        pytest.param("nobody.default.svc.cluster.local", "A", dns.rcode.NXDOMAIN, id="no such service"),
        pytest.param("web.nowhere.svc.cluster.local", "A", dns.rcode.NXDOMAIN, id="no such namespace"),
        pytest.param("10-42-0.default.pod.cluster.local", "A", dns.rcode.NXDOMAIN, id="a pod that is no address"),
        pytest.param("pets-9.pets.default.svc.cluster.local", "A", dns.rcode.NXDOMAIN, id="no such host"),
        pytest.param("web.default.svc.cluster.local", "MX", dns.rcode.NOERROR, id="another type"),
        pytest.param("pets.default.svc.cluster.local", "AAAA", dns.rcode.NOERROR, id="another family"),
        pytest.param("default.svc.cluster.local", "A", dns.rcode.NOERROR, id="a name with others below it"),
        pytest.param("svc.cluster.local", "A", dns.rcode.NOERROR, id="the parent of all services"),
    ],
)
def test_it_says_that_there_is_nothing(node: Member, name: str, type_: str, code: int) -> None:
    with node.entered():
        reply = ask(name, type_)
    assert (reply.rcode(), answers(reply)) == (code, set())
    assert reply.authority[0].rdtype == dns.rdatatype.SOA
    assert reply.flags & dns.flags.AA


def test_what_does_not_fit_is_truncated_and_comes_over_tcp(node: Member) -> None:
    with node.entered():
        short = ask("many.default.svc.cluster.local")
        assert short.flags & dns.flags.TC
        assert len(short.to_wire()) <= 512
        assert len(answers(ask("many.default.svc.cluster.local", tcp=True))) == 100


def test_edns_is_answered_with_edns(node: Member) -> None:
    with node.entered():
        assert ask("web.default.svc.cluster.local", edns=True).edns == 0


def test_a_clients_cookie_goes_no_further_and_keeps_nothing_from_being_remembered(node: Member) -> None:
    for cookie in (b"one 8 by", b"and 8 mo"):
        query = dns.message.make_query("www.cookie.test", "A", options=[dns.edns.GenericOption(10, cookie)])
        with node.entered():
            assert answers(dns.query.udp(query, ADDRESS, timeout=30)) == {"192.0.2.80"}
    (asked,) = [one for one in _passed_on if one.question[0].name.to_text() == "www.cookie.test."]
    assert (asked.edns, asked.options) == (0, ())


def test_a_name_nobody_knows_elsewhere(node: Member) -> None:
    with node.entered():
        assert ask("nobody.example.test").rcode() == dns.rcode.NXDOMAIN


def test_garbage_does_not_stop_it(node: Member) -> None:
    chance = random.Random(7)
    good = dns.message.make_query("web.default.svc.cluster.local", "A").to_wire()
    with node.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in range(3000):
            packet = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                packet[chance.randrange(len(packet))] = chance.randrange(256)
            udp.sendto(packet[: chance.randrange(len(packet) + 1)], (ADDRESS, 53))
        assert answers(ask("web.default.svc.cluster.local", tcp=True)) == {"10.43.0.7"}
        assert answers(ask("pets-0.pets.default.svc.cluster.local")) == {"10.42.0.1"}


async def test_it_gives_way_to_pods_that_the_service_selects(tmp_path: Path) -> None:
    with Lab(nodes=1) as lab, lab.nodes[0].entered():
        services, clock = Table(SERVICE), SystemClock()
        host = HostResolver(tmp_path / "resolv.conf", clock)
        others = Dns(services, Table(ENDPOINT_SLICE), clock, address=ADDRESS, domain="x", host=host)
        running = asyncio.create_task(others.run())

        def is_here() -> bool:
            return ADDRESS in lab.nodes[0].run("ip", "address", "show", "lo")

        for selector, answers_here in (({}, True), ({"k8s-app": "kube-dns"}, False), ({}, True)):
            services.put(Entry.of(SERVICE, {**KUBE_DNS, "spec": {**KUBE_DNS["spec"], "selector": selector}}))
            await until(lambda wanted=answers_here: is_here() is wanted)
        running.cancel()
        await asyncio.wait([running])
