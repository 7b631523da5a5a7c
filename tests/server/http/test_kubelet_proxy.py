"""Logs and upgraded connections pass through the API server to a kubelet; a small TLS server stands for the latter."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMESPACE = "/api/v1/namespaces/default"
PODS = f"{NAMESPACE}/pods"


def serving_context(cluster: Any, directory: Path) -> ssl.SSLContext:
    """As a kubelet has it: a certificate of the cluster's CA, and clients prove themselves with one."""
    key = ec.generate_private_key(ec.SECP256R1())
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    signed = cluster.running.authority.sign(request.public_bytes(serialization.Encoding.PEM), ["server auth"])
    (directory / "kubelet.pem").write_bytes(
        signed
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(cluster.running.pki.ca.certificate))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(directory / "kubelet.pem")
    return context


def strange_context(cluster: Any, directory: Path) -> ssl.SSLContext:
    """Of somebody whose certificate says nothing; who asks has to prove himself all the same."""
    context = serving_context(cluster, directory)
    context.load_cert_chain(cluster.running.pki.admin.certificate, cluster.running.pki.admin.key)
    return context


LEFT = asyncio.Event()
"""That nobody reads a log any more that says nothing."""


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if "follow" in request.query:
        silent = web.StreamResponse()
        silent.enable_chunked_encoding()
        await silent.prepare(request)
        await silent.write(b"one line\n")
        while request.transport is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        LEFT.set()
        return silent
    if request.path == "/containerLogs/default/p/gone":
        return web.Response(status=400, text="container is waiting")
    if "Upgrade" not in request.headers:
        return web.Response(text=f"{request.path_qs}\n" * 3)
    transport = request.transport
    assert transport is not None
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
    transport.write(head.encode() + request.path_qs.encode() + b"\n")
    await asyncio.sleep(60)
    return web.Response()


@pytest.fixture
async def kubelet(cluster: Any, tmp_path: Path) -> AsyncIterator[int]:
    """A node named n, a pod p on it with containers c and gone, a pod that is nowhere and one whose node is."""
    server = await asyncio.get_running_loop().create_server(
        web.Server(answer), "127.0.0.1", 0, ssl=serving_context(cluster, tmp_path)
    )
    port: int = server.sockets[0].getsockname()[1]
    await cluster.ask("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    merge = "application/merge-patch+json"
    patched = await cluster.ask("PATCH", "/api/v1/nodes/n/status", {"status": status}, Content_Type=merge)
    assert patched.status == 200
    # Pods need their ServiceAccount; its controller may have been faster.
    account = await cluster.ask("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
    assert account.status in (201, 409)
    places = {"p": {"nodeName": "n"}, "nowhere": {"nodeSelector": {"no": "node"}}, "lost": {"nodeName": "gone-node"}}
    for name, more in places.items():
        containers = [{"name": c, "image": "x"} for c in ("c", "gone")]
        made = await cluster.ask("POST", PODS, {"metadata": {"name": name}, "spec": {"containers": containers, **more}})
        assert made.status == 201, made.body
    yield port
    server.close()


@pytest.mark.usefixtures("kubelet")
async def test_logs_are_the_kubelets(cluster: Any) -> None:
    found = await cluster.ask("GET", f"{PODS}/p/log?container=c&tailLines=5&pretty=true")
    assert found.body == b"/containerLogs/default/p/c?tailLines=5\n" * 3


@pytest.mark.usefixtures("kubelet")
async def test_a_log_is_taken_from_whoever_answers_if_the_client_says_so(cluster: Any, tmp_path: Path) -> None:
    strange = strange_context(cluster, tmp_path)
    server = await asyncio.get_running_loop().create_server(web.Server(answer), "127.0.0.1", 0, ssl=strange)
    status = {"daemonEndpoints": {"kubeletEndpoint": {"Port": server.sockets[0].getsockname()[1]}}}
    merge = "application/merge-patch+json"
    await cluster.ask("PATCH", "/api/v1/nodes/n/status", {"status": status}, Content_Type=merge)
    log = f"{PODS}/p/log?container=c"
    assert (await cluster.ask("GET", f"{log}&insecureSkipTLSVerifyBackend=true")).body.startswith(b"/containerLogs")
    for said in ("", "&insecureSkipTLSVerifyBackend=false"):
        refused = await cluster.ask("GET", log + said)
        assert (refused.status, "CERTIFICATE_VERIFY_FAILED" in refused.json["message"]) == (503, True)
    told = (await cluster.ask("GET", "/metrics")).body.decode()
    for usage, times in (("skip_tls_allowed", 1), ("enforce_tls", 2)):
        assert f'kube_apiserver_pod_logs_insecure_backend_total{{usage="{usage}"}} {times}\n' in told
    server.close()


@pytest.mark.usefixtures("kubelet")
async def test_a_reader_who_leaves_does_not_keep_the_kubelet_waiting(cluster: Any) -> None:
    LEFT.clear()
    async with cluster.admin.get(f"{cluster.running.url}{PODS}/p/log?container=c&follow=true") as found:
        assert await found.content.readline() == b"one line\n"
    await asyncio.wait_for(LEFT.wait(), 60)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("p/log", 400, "a container name must be specified for pod p, choose one of: [c gone]"),
        ("p/log?container=x", 400, "container x is not valid for pod p"),
        ("p/log?container=gone", 400, "container is waiting"),
        ("none/log", 404, 'pods "none" not found'),
        ("nowhere/exec?container=c&command=ls", 400, "pod nowhere does not have a host assigned"),
        ("p/exec?container=c&command=ls", 400, "Upgrade request required"),
        ("lost/log?container=c", 404, 'pods "gone-node" not found'),
        ("lost/exec?container=c&command=ls", 404, 'pods "gone-node" not found'),
    ],
)
@pytest.mark.usefixtures("kubelet")
async def test_what_cannot_be_passed_on_is_a_status(cluster: Any, path: str, status: int, says: str) -> None:
    found = await cluster.ask("GET", f"{PODS}/{path}")
    assert (found.status, found.json["message"]) == (status, says)


@pytest.mark.usefixtures("kubelet")
async def test_an_upgrade_reaches_the_kubelet_with_its_query(cluster: Any) -> None:
    pki = cluster.running.pki
    context = ssl.create_default_context(cafile=str(pki.ca.certificate))
    context.load_cert_chain(pki.admin.certificate, pki.admin.key)
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.running.port, ssl=context)
    query = "container=c&command=ls&command=-l&stdin=true&stdout=true"
    head = f"POST {PODS}/p/exec?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    writer.write(head.encode())
    answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert answered.startswith(b"HTTP/1.1 101 ")
    line = await asyncio.wait_for(reader.readline(), 60)
    assert line == b"/exec/default/p/c?command=ls&command=-l&input=1&output=1\n"
    writer.close()


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize("is_text", [False, True])
async def test_logs_as_messages(cluster: Any, is_text: bool) -> None:
    pki = cluster.running.pki
    context = ssl.create_default_context(cafile=str(pki.ca.certificate))
    context.load_cert_chain(pki.admin.certificate, pki.admin.key)
    protocol = "base64.binary.k8s.io" if is_text else "binary.k8s.io"
    url = f"https://127.0.0.1:{cluster.running.port}{PODS}/p/log?container=c"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, ssl=context, protocols=(protocol,)) as socket,
    ):
        assert socket.protocol == protocol
        said = [message.data async for message in socket]
    assert not said[0]
    logged = b"".join(base64.b64decode(piece) if is_text else piece for piece in said)
    assert logged == b"/containerLogs/default/p/c\n" * 3


async def test_a_node_that_is_away_is_said(cluster: Any, kubelet: int) -> None:
    gone = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}
    await cluster.ask("PATCH", "/api/v1/nodes/n/status", gone, Content_Type="application/merge-patch+json")
    found = await cluster.ask("GET", f"{PODS}/p/log?container=c")
    assert found.status == 503
    assert "cannot reach the kubelet of node n" in found.json["message"]
