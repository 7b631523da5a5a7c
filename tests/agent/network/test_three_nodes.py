"""Three nodes on real links, with every backend: what happens to a cluster's network in its life."""

from __future__ import annotations

import copy
import itertools
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from pylet.agent.network import wireguard
from pylet.agent.network.loop import cleanup
from pylet.agent.network.rtnetlink import Rtnetlink
from pylet.agent.network.wgdevice import KernelDevice, UserDevice
from tests.agent.network.running import Api, Running, Time, network, node
from tests.netns import Lab, Member, needs_netns
from tests.waiting import until_it_holds

pytestmark = needs_netns

_has_wireguard = shutil.which("wireguard-go") is not None or Path("/sys/module/wireguard").exists()
BACKENDS = [
    "host-gw",
    "vxlan",
    pytest.param("wireguard", marks=pytest.mark.skipif(not _has_wireguard, reason="needs WireGuard, or wireguard-go")),
]


@dataclass
class Three:
    lab: Lab
    api: Api
    time: Time
    backend: str
    directory: Path
    pods: list[Member]
    runs: list[Running]

    def conflist_mtu(self, number: int) -> int:
        text = (self.directory / f"n{number}" / "10-pylet.conflist").read_text()
        return int(json.loads(text)["plugins"][0]["mtu"])

    def run(self, number: int) -> Running:
        directory = self.directory / f"n{number}"
        return network(self.api, self.lab.nodes[number], f"n{number}", self.backend, directory, self.time)

    def reaches(self, source: int, target: int, *options: str) -> bool:
        pod, far = self.pods[source], self.pods[target]
        return all(
            "1 packets received" in pod.run("busybox", "ping", family, "-c1", "-W1", *options, ip, check=False)
            for family, ip in (("-4", far.ip), ("-6", far.ip6))
        )

    def restart(self, number: int) -> None:
        self.runs[number].stop()
        self.runs[number] = self.run(number).__enter__()

    def stop(self) -> None:
        for run in self.runs:
            run.stop()

    def have_followed(self) -> bool:
        """Whether all nodes have tunnels of the keys that are due now, and send by those that they should."""
        now = self.time.now()
        due = wireguard.due(now, set())
        for number, other in itertools.permutations(range(3), 2):
            key_of = wireguard.published(self.api.nodes[f"n{other}"]).get
            used = wireguard.shared(due, due, now, leads=number < other)
            for period in due:
                keys, networks = self.tunnel(number, period)
                if key_of(period) not in keys or (f"10.42.{other}.0/24" in networks) != (period == used):
                    return False
        return True

    def tunnel(self, number: int, period: int) -> tuple[set[bytes], set[str]]:
        """Whose public keys the node's tunnel of that period knows, and which networks are reached by it."""
        name, directory = wireguard.link_of(period), self.directory / f"n{number}" / "wireguard"
        try:
            with self.lab.nodes[number].entered(), Rtnetlink() as kernel:
                link = kernel.link(name)
                if link is None:
                    return set(), set()
                device = KernelDevice(link.index) if link.kind == "wireguard" else UserDevice(name, directory)
                routes = {str(route.to) for route in kernel.routes() if route.link == link.index}
                return set(device.read().remotes), routes
        except OSError:  # it is being replaced
            return set(), set()

    def is_whole(self) -> bool:
        return all(self.reaches(a, b) for a in range(3) for b in range(3) if a != b)


# wireguard-go ends when the socket of its link's name changes, which here is a name that three nodes have.
_ALONE = """#!/bin/sh
exec unshare --mount --propagation private sh -c '
    mount -t tmpfs none /var/run/wireguard && touch /var/run/wireguard/"$2.sock" && exec {} "$@"' sh "$@"
"""


@pytest.fixture
def three(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Three]:
    if real := shutil.which("wireguard-go"):
        wrapper = tmp_path / "bin" / "wireguard-go"
        wrapper.parent.mkdir()
        wrapper.write_text(_ALONE.format(real))
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)
    with Lab(nodes=3) as lab, ExitStack() as stack:
        api, clock = Api(), Time()
        pods = [lab.pod(member, f"10.42.{n}.5", f"fd42:0:0:{n}::5") for n, member in enumerate(lab.nodes)]
        for number, member in enumerate(lab.nodes):
            cidrs = f"10.42.{number}.0/24", f"fd42:0:0:{number}::/64"
            api.put(node(f"n{number}", (member.ip, member.ip6), *cidrs))
        found = Three(lab, api, clock, request.param, tmp_path, pods, [])
        for number, member in enumerate(lab.nodes):
            stack.callback(_clean, member, tmp_path / f"n{number}")
        stack.callback(found.stop)
        for number in range(3):
            found.runs.append(found.run(number).__enter__())
        until_it_holds("the network is whole", found.is_whole)
        yield found


def _clean(member: Member, directory: Path) -> None:
    with member.entered():
        cleanup(directory, directory / "ipam")


@contextmanager
def _echoing(pod: Member, far: Member) -> Iterator[Callable[[bytes], bool]]:
    """A connection between two pods: whether a line comes back."""
    far.start("socat", "TCP-LISTEN:7,reuseaddr", "EXEC:cat")

    streams: list[socket.socket] = []

    def connect() -> bool:
        with pod.entered(), suppress(OSError):
            streams.append(socket.create_connection((far.ip, 7), timeout=60))
        return bool(streams)

    until_it_holds("it is connected", connect)
    with streams[0] as stream, stream.makefile("rwb") as lines:

        def echoes(line: bytes) -> bool:
            lines.write(line)
            lines.flush()
            return bool(lines.readline() == line)

        assert echoes(b"before\n")
        yield echoes


@pytest.mark.parametrize("three", BACKENDS, indirect=True)
def test_a_network_that_lives(three: Three) -> None:
    lab, mtu = three.lab, {"host-gw": 1500, "vxlan": 1450, "wireguard": 1440}[three.backend]
    assert three.conflist_mtu(0) == mtu

    # All agents stop and start again: what is connected stays so, meanwhile and afterwards.
    with _echoing(three.pods[0], three.pods[1]) as echoes:
        three.stop()
        assert echoes(b"meanwhile\n")
        for number in range(3):
            three.restart(number)
        until_it_holds("the network is whole", three.is_whole)
        assert echoes(b"afterwards\n")

    # A partition: the others go on, and when it heals nobody has to do anything.
    lab.unplug(lab.nodes[2])
    assert not three.reaches(0, 2)
    until_it_holds("the others go on", lambda: three.reaches(0, 1))
    lab.plug(lab.nodes[2])
    until_it_holds("the partition has healed", three.is_whole)

    # A node moves to another address.
    moved, item = "10.77.0.99", copy.deepcopy(three.api.nodes["n1"])
    lab.nodes[1].run("ip", "address", "add", f"{moved}/24", "dev", "eth0")
    lab.nodes[1].run("ip", "address", "del", f"{lab.nodes[1].ip}/24", "dev", "eth0")
    lab.nodes[1].run("ip", "address", "replace", f"{moved}/24", "dev", "eth0")  # gone with the primary one
    item["status"]["addresses"][0]["address"] = moved
    three.runs[1].stop()
    three.api.put(item)
    with three.run(1):
        until_it_holds("the node is found where it is now", three.is_whole)

        # The link of one takes less.
        lab.nodes[0].run("ip", "link", "set", "eth0", "mtu", "1400")
        until_it_holds("pods take less, too", lambda: three.conflist_mtu(0) == mtu - 100)
        until_it_holds("nothing is lost", lambda: three.reaches(0, 1))

        # A node leaves.
        three.api.remove("n2")
        until_it_holds("its routes are gone", lambda: "10.42.2.0" not in lab.nodes[0].run("ip", "route"))
        until_it_holds("the others are reached", lambda: three.reaches(0, 1))


@pytest.mark.parametrize("three", BACKENDS[2:], indirect=True)
def test_packets_flow_while_keys_change(three: Three) -> None:
    pod, far = three.pods[0], three.pods[1]
    for member in three.lab.nodes:  # as some distributions have it
        member.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.default.rp_filter=1")
    first = wireguard.published(three.api.nodes["n0"])
    answers = three.directory / "answers"
    with answers.open("w") as file:
        pinging = pod.start("busybox", "ping", "-i", "0.01", far.ip, stdout=file)
        while first.items() & wireguard.published(three.api.nodes["n0"]).items():
            three.time.ahead += timedelta(seconds=wireguard.seconds_until_change(three.time.now()))
            until_it_holds("all nodes have followed", three.have_followed)
            _wait_for_answers(answers)
        pinging.kill()
        pinging.wait()
    seen = _answered(answers)
    lost = set(range(max(seen))) - seen
    assert len(lost) < 400  # a busy machine loses some at any time; a handshake that fails takes 500
    three.stop()
    keys = (three.directory / "n0" / "wireguard").glob("*.key")
    assert {file.stat().st_mode & 0o777 for file in keys} == {0o600}


def _wait_for_answers(file: Path) -> None:
    before = len(_answered(file))
    until_it_holds("packets pass", lambda: len(_answered(file)) > before + 20)


def _answered(answers: Path) -> set[int]:
    return {int(number) for number in re.findall(r" seq=(\d+) .*\n", answers.read_text())}
