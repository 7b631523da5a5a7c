"""Kubelets nobody can connect to: reached through the connection their agent keeps."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pylet.agent.join import CLIENT_SIGNER, SERVING_SIGNER, Credentials, request_certificate
from pylet.agent.tunnels import Tunnels
from pylet.aio.clock import SystemClock
from pylet.aio.tunnel import Tunnel
from pylet.api.kinds.node import KIND as KIND_OF_NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.client.http import HttpClient
from pylet.client.servers import Servers
from pylet.client.view import Entry, Table
from pylet.server.http import tunnels as server_tunnels
from tests.waiting import answered, until

NODE = "far"
NAMESPACE = "/api/v1/namespaces/default"
PODS = f"{NAMESPACE}/pods"


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    if "Upgrade" in request.headers:
        request.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        request.transport.write(request.path.encode() + b"\n")
        await asyncio.sleep(60)
    (who,) = request.transport.get_extra_info("peercert")["subject"][-1]
    return web.Response(text=f"{request.path} for {who[1]}")


@pytest.fixture
async def credentials(cluster: Any, tmp_path: Path) -> Credentials:
    """Those of the node, from the server's own signers; its Node says an address that nobody answers at."""
    own = Credentials(tmp_path / "agent")
    own.directory.mkdir()
    own.ca.write_bytes(cluster.running.pki.ca.certificate.read_bytes())
    token = (tmp_path / "server" / "token").read_text().strip().partition("::")[2]
    user = f"system:node:{NODE}"
    async with HttpClient(cluster.running.url, own.tls, token=token) as client:
        await request_certificate(client, CLIENT_SIGNER, own.client, user, "system:nodes", usage="client auth")
    async with HttpClient(cluster.running.url, own.tls) as client:
        await client.request("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        address = {"type": "InternalIP", "address": "127.77.77.77"}
        await client.request(
            "PATCH",
            f"/api/v1/nodes/{NODE}/status",
            {"status": {"addresses": [address]}},
            content_type="application/merge-patch+json",
        )
        names = (NODE, "127.77.77.77")
        await request_certificate(
            client, SERVING_SIGNER, own.serving, user, "system:nodes", usage="server auth", addresses=names
        )
    return own


class Forwarder:
    """Another address of the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._joined: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        self._listening = await asyncio.start_server(self._join, "127.0.0.1", 0)
        return f"https://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self._listening.close()
        for writer in self._joined:
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection("127.0.0.1", self._port)
        self._joined += [writer, to_far]
        await asyncio.gather(pump(reader, to_far), pump(far, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@pytest.fixture
async def forwarder(cluster: Any) -> AsyncIterator[Forwarder]:
    made = Forwarder(cluster.running.port)
    yield made
    made.stop()


def is_fine(answer: Any) -> bool:
    return bool(answer.status == 200)


class Told(Tunnels):
    """Tells which servers it has asked."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.asked: list[str] = []

    async def _upgraded(self, url: str, tunnel: Tunnel) -> str:
        try:
            return await super()._upgraded(url, tunnel)
        finally:
            self.asked.append(url)


@pytest.fixture
async def tunnels(cluster: Any, credentials: Credentials, forwarder: Forwarder) -> AsyncIterator[Told]:
    """The agent's side; its servers are the one there is, by two addresses."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(credentials.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(credentials.serving.certificate, credentials.serving.key)
    kubelet = web.Server(answer)

    async def serve(stream: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(kubelet, stream, ssl=context)

    servers = Servers(await forwarder.start())
    made = Told(servers, credentials.tls, serve, lambda address, port: False, SystemClock())
    task = asyncio.create_task(made.run())
    account = await cluster.ask("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
    assert account.status in (201, 409)
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": NODE, "containers": [{"name": "c", "image": "x"}]}}
    assert (await cluster.ask("POST", PODS, pod)).status == 201
    try:
        await answered(lambda: cluster.ask("GET", f"{PODS}/p/log"), is_fine)
        servers.learn([cluster.running.url])
        yield made
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.mark.usefixtures("tunnels")
async def test_logs_and_the_nodes_proxy_reach_the_kubelet_as_the_server(cluster: Any) -> None:
    found = await cluster.ask("GET", f"{PODS}/p/log")
    assert found.body == b"/containerLogs/default/p/c for kube-apiserver"
    found = await cluster.ask("GET", f"/api/v1/nodes/{NODE}/proxy/stats/summary")
    assert found.body == b"/stats/summary for kube-apiserver"


@pytest.mark.usefixtures("tunnels")
async def test_an_upgrade_passes_through(cluster: Any) -> None:
    pki = cluster.running.pki
    context = ssl.create_default_context(cafile=str(pki.ca.certificate))
    context.load_cert_chain(pki.admin.certificate, pki.admin.key)
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.running.port, ssl=context)
    head = f"POST {PODS}/p/exec?command=ls HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    writer.write(head.encode())
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).startswith(b"HTTP/1.1 101 ")
    assert await asyncio.wait_for(reader.readline(), 60) == b"/exec/default/p/c\n"
    writer.close()


@pytest.mark.usefixtures("tunnels")
async def test_other_ports_of_a_node_are_not_behind_its_tunnel(cluster: Any) -> None:
    found = await cluster.ask("GET", f"/api/v1/nodes/{NODE}:9/proxy/")
    assert (found.status, found.json["message"]) == (400, "address not allowed")


@pytest.mark.usefixtures("tunnels")
async def test_an_address_that_no_pod_of_the_node_has_is_not_behind_its_tunnel(cluster: Any) -> None:
    while "podCIDR" not in (node := (await cluster.ask("GET", f"/api/v1/nodes/{NODE}")).json)["spec"]:
        pass  # the server shares this loop: each turn lets it work
    address = node["spec"]["podCIDR"].replace(".0/24", ".1")  # the node itself
    status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
    patched = await cluster.ask("PATCH", f"{PODS}/p/status", status, Content_Type="application/merge-patch+json")
    assert patched.status == 200
    found = await cluster.ask("GET", f"{PODS}/p:10250/proxy/")
    assert (found.status, found.json["message"]) == (503, "error trying to reach service: EOF")


class Agent:
    """Takes what a tunnel leads to it, and says where that wanted to go."""

    def open(self, to: bytes) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.sendall(to)
        ours.close()
        theirs.setblocking(False)
        return theirs


@pytest.mark.parametrize(
    ("changes", "leads"),
    [
        pytest.param({}, True, id="a pod that listens in its node's network"),
        pytest.param({"hostNetwork": False}, False, id="in its own"),
        pytest.param({"containers": [{"name": "c"}]}, False, id="a port it does not declare"),
        pytest.param({"nodeName": "near"}, False, id="of another node"),
    ],
)
async def test_a_tunnel_leads_to_the_host_where_nothing_else_does(
    changes: Any, leads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_tunnels, "_DIRECT_SECONDS", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        ports = [{"hostPort": port, "containerPort": port}]
        spec = {"nodeName": NODE, "hostNetwork": True, "containers": [{"name": "c", "ports": ports}], **changes}
        pods = Table(POD)
        status = {"phase": "Running", "podIPs": [{"ip": host}]}
        pods.put(Entry.of(POD, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec, "status": status}))
        ways = server_tunnels.Tunnels(Table(KIND_OF_NODE), pods)
        agent: Any = Agent()
        ways._open[NODE] = agent
        (transport, _) = await ways.connect(asyncio.Protocol, host, port)
        assert transport.get_extra_info("peername") == (host, port)  # nothing is in the way
        transport.close()
    if not leads:
        with pytest.raises(ConnectionRefusedError):
            await ways.connect(asyncio.Protocol, host, port)
        return
    reader = asyncio.StreamReader()
    await ways.connect(lambda: asyncio.StreamReaderProtocol(reader), host, port)
    assert await reader.read() == f"{host} {port}".encode()


async def test_a_server_known_by_two_addresses_has_one_tunnel_and_another_when_that_breaks(
    cluster: Any, tunnels: Told, forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pylet.agent.tunnels")
    await until(lambda: cluster.running.url in tunnels.asked)
    assert not caplog.messages
    forwarder.stop()
    found = await answered(lambda: cluster.ask("GET", f"{PODS}/p/log"), is_fine)
    assert found.body == b"/containerLogs/default/p/c for kube-apiserver"
    assert len(tunnels._held) == 1


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 403), ({"Upgrade": "pylet-tunnel-1", "Connection": "Upgrade"}, 403)]
)
async def test_who_is_no_node_gets_no_tunnel(cluster: Any, headers: dict[str, str], status: int) -> None:
    for session in (cluster.admin, cluster.anyone):
        async with session.get(f"{cluster.running.url}/v1-pylet/connect", headers=headers) as found:
            assert found.status == status


async def test_a_node_that_does_not_upgrade_is_told(cluster: Any, credentials: Credentials) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=credentials.tls())) as node,
        node.get(f"{cluster.running.url}/v1-pylet/connect") as found,
    ):
        assert (found.status, (await found.json())["message"]) == (400, "Upgrade request for pylet-tunnel-1 required")
