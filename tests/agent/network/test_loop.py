"""Two nodes make their pod network, and pods of one talk to pods of the other."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import cast

import pytest

from pylet.agent.network.loop import Network, NetworkSettings, cleanup
from pylet.aio.clock import SystemClock
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object
from pylet.client.interface import Client
from pylet.client.view import Entry, Table
from tests.netns import Lab, Member, needs_netns
from tests.waiting import until

pytestmark = needs_netns


def _node(name: str, address: str, cidr: str, revision: int = 1) -> Object:
    return {
        "metadata": {"name": name, "resourceVersion": str(revision)},
        "spec": {"podCIDR": cidr},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


def _network(
    node: Member, nodes: Table, name: str, backend: str, directory: Path, ips: tuple[str, ...] = ()
) -> Network:
    settings = NetworkSettings(
        node_name=name,
        node_ips=ips or (node.ip,),
        backend=backend,
        cni_bin_dir=directory,
        cni_conf_dir=directory,
        ipam_dir=directory / "ipam",
        wireguard_dir=directory / "wireguard",
    )
    with node.entered():
        return Network(nodes, cast(Client, None), SystemClock(), settings)


def _reaches(source: Member, ip: str) -> bool:
    return "1 packets received" in source.run("busybox", "ping", "-6", "-c1", "-W1", ip, check=False)


@pytest.mark.parametrize(("backend", "mtu"), [("host-gw", 1500), ("vxlan", 1450)])
def test_pods_of_two_nodes_reach_each_other(backend: str, mtu: int, tmp_path: Path) -> None:
    with Lab(nodes=2) as lab:
        nodes = Table(NODE)
        for number, node in enumerate(lab.nodes):
            nodes.put(Entry.of(NODE, _node(f"n{number}", node.ip, f"10.42.{number}.0/24")))
        pods = []
        for number, node in enumerate(lab.nodes):
            asyncio.run(_settle(node, nodes, f"n{number}", backend, tmp_path / node.name))
            pods.append(lab.pod(node, f"10.42.{number}.5"))
        for source, target in (pods, reversed(pods)):
            assert "1 packets received" in source.run("busybox", "ping", "-c1", "-W2", target.ip)
        assert "1 packets received" in lab.nodes[0].run("busybox", "ping", "-c1", "-W2", pods[1].ip)
        conflist = json.loads((tmp_path / lab.nodes[0].name / "10-pylet.conflist").read_text())
        assert conflist["plugins"][0]["mtu"] == mtu


async def _settle(
    node: Member, nodes: Table, name: str, backend: str, directory: Path, ips: tuple[str, ...] = ()
) -> None:
    with node.entered():
        running = _network(node, nodes, name, backend, directory, ips)
        task = asyncio.create_task(running.run())
        await running.ready.wait()
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(("backend", "tunnel"), [("host-gw", "4"), ("vxlan", "4"), ("vxlan", "6")])
def test_pods_of_two_families(backend: str, tunnel: str, tmp_path: Path) -> None:
    with Lab(nodes=2) as lab:
        nodes = Table(NODE)
        ips = {}
        for number, node in enumerate(lab.nodes):
            ips[node.name] = (node.ip, node.ip6) if tunnel == "4" else (node.ip6, node.ip)
            item = _node(f"n{number}", node.ip, f"10.42.{number}.0/24")
            item["spec"]["podCIDRs"] = [f"10.42.{number}.0/24", f"fd42:0:0:{number}::/64"]
            item["status"]["addresses"] = [{"type": "InternalIP", "address": ip} for ip in ips[node.name]]
            nodes.put(Entry.of(NODE, item))
        pods = []
        for number, node in enumerate(lab.nodes):
            asyncio.run(_settle(node, nodes, f"n{number}", backend, tmp_path / node.name, ips[node.name]))
            pods.append(lab.pod(node, f"10.42.{number}.5", f"fd42:0:0:{number}::5"))
        for source, target in (pods, reversed(pods)):
            assert "1 packets received" in source.run("busybox", "ping", "-c1", "-W2", target.ip)
            asyncio.run(
                until(lambda s=source, t=target: _reaches(s, t.ip6))
            )  # links need a second for their own address
        conflist = json.loads((tmp_path / lab.nodes[0].name / "10-pylet.conflist").read_text())
        assert conflist["plugins"][0]["mtu"] == {"host-gw4": 1500, "vxlan4": 1450, "vxlan6": 1430}[backend + tunnel]
        assert len(conflist["plugins"][0]["ipam"]["ranges"]) == 2


async def test_routes_follow_nodes_that_come_move_and_go(tmp_path: Path) -> None:
    with Lab(nodes=1) as lab:
        (node,) = lab.nodes
        nodes = Table(NODE)
        nodes.put(Entry.of(NODE, _node("n0", node.ip, "10.42.0.0/24")))
        with node.entered():
            network = _network(node, nodes, "n0", "host-gw", tmp_path)
            task = asyncio.create_task(network.run())
            await network.ready.wait()

            def routes() -> str:
                return node.run("ip", "route", "show", "10.42.1.0/24").strip()

            nodes.put(Entry.of(NODE, _node("n1", "10.77.0.50", "10.42.1.0/24", 2)))
            await until(lambda: "via 10.77.0.50 dev eth0" in routes())
            nodes.put(Entry.of(NODE, _node("n1", "10.77.0.51", "10.42.1.0/24", 3)))
            await until(lambda: "via 10.77.0.51 dev eth0" in routes())
            node.run("ip", "route", "del", "10.42.1.0/24")
            await until(lambda: "via 10.77.0.51 dev eth0" in routes())
            node.run("ip", "link", "set", "eth0", "down")
            node.run("ip", "link", "set", "eth0", "up")
            await until(lambda: "via 10.77.0.51 dev eth0" in routes())
            nodes.remove(Key("", "n1"), 4)
            await until(lambda: not routes())
            task.cancel()
            await asyncio.wait([task])


def test_cleanup_leaves_nothing(tmp_path: Path) -> None:
    with Lab(nodes=1) as lab:
        (node,) = lab.nodes
        before = node.run("ip", "route"), node.run("ip", "-br", "link")
        nodes = Table(NODE)
        nodes.put(Entry.of(NODE, _node("n0", node.ip, "10.42.0.0/24")))
        nodes.put(Entry.of(NODE, _node("n1", "10.77.0.50", "10.42.1.0/24")))
        asyncio.run(_settle(node, nodes, "n0", "vxlan", tmp_path))
        with node.entered():
            cleanup(tmp_path, tmp_path / "ipam")
        assert (node.run("ip", "route"), node.run("ip", "-br", "link")) == before
        assert not list(tmp_path.glob("*.conflist"))


def test_a_network_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    with Lab(nodes=1) as lab:
        (node,) = lab.nodes
        before = node.run("ip", "route"), node.run("ip", "-br", "link")
        nodes = Table(NODE)
        nodes.put(Entry.of(NODE, _node("n0", node.ip, "10.42.0.0/24")))
        nodes.put(Entry.of(NODE, _node("n1", "10.77.0.50", "10.42.1.0/24")))
        asyncio.run(_settle(node, nodes, "n0", "vxlan", tmp_path))
        (tmp_path / "10-calico.conflist").write_text("theirs")
        node.run("ip", "route", "add", "10.42.7.0/24", "dev", "eth0", "proto", "80")
        asyncio.run(_settle(node, nodes, "n0", "none", tmp_path))
        assert [file.name for file in tmp_path.glob("*.conflist")] == ["10-calico.conflist"]
        assert "10.42.7.0/24 dev eth0 proto 80" in node.run("ip", "route")
        node.run("ip", "route", "del", "10.42.7.0/24")
        assert (node.run("ip", "route"), node.run("ip", "-br", "link")) == before
