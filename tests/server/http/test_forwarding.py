"""Requests passed on to another server: what arrives there, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from pylet.api.errors import ApiError, BadRequest, ServiceUnavailable
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.client.view import Table
from pylet.server.http.answer import Listener
from pylet.server.http.forwarding import Forwarder, Target
from pylet.server.http.links import Links
from pylet.server.http.proxies import allowed_address, plain, split_target
from pylet.server.http.tunnels import Tunnels
from tests.server.conftest import Cluster, cluster

__all__ = ["cluster"]

TOKEN = "base64url.bearer.authorization.k8s.io.dG9rZW4"
PREFIX = "/api/v1/namespaces/a/pods/p/proxy"


async def behind(request: web.Request) -> web.StreamResponse:
    """What is proxied."""
    match request.path:
        case "/echo":
            seen = {"method": request.method, "target": request.raw_path, "headers": dict(request.headers)}
            return web.json_response({**seen, "body": (await request.read()).decode()})
        case "/teapot":
            return web.Response(
                status=418,
                text="short and stout",
                headers={"Set-Cookie": "a=b", "Connection": "close, X-Own", "X-Own": "1"},
            )
        case "/moved":
            raise web.HTTPFound("/elsewhere?x=1")
        case "/page":
            page = '<a class="x" href="/in">in</a><a href=\'other\'>rel</a><img src="http://far.test/i"><p href="/no">'
            page += "<img src=/i>"
            return web.Response(text=page, content_type="text/html")
        case "/short":
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            request.transport.close()
        case "/large":
            return web.Response(body=b"x" * (8 << 20))
        case "/socket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(f"heard {message.data}")
            return socket
    return web.Response(status=404)


@pytest.fixture
async def base() -> AsyncIterator[str]:
    """The URL of a proxy before the server above."""
    runner = web.AppRunner(app := web.Application(), shutdown_timeout=0.1)
    app.router.add_route("*", "/{path:.*}", behind)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    forwarder = Forwarder(Tunnels(Table(NODE), Table(POD)))

    async def proxy(http: web.BaseRequest) -> object:
        path = http.rel_url.raw_path.removeprefix(PREFIX)
        links = Links(PREFIX, (f"127.0.0.1:{port}",))
        try:
            return await forwarder.forward(http, Target(f"http://127.0.0.1:{port}{path}", links=links))
        except ApiError as error:
            return web.Response(status=error.code, text=error.message)

    server = Listener(proxy)  # type: ignore[arg-type]
    proxy_runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await proxy_runner.setup()
    front = web.TCPSite(proxy_runner, "127.0.0.1", 0)
    await front.start()
    yield f"http://127.0.0.1:{proxy_runner.addresses[0][1]}{PREFIX}"
    await forwarder.close()
    await proxy_runner.cleanup()
    await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_what_breaks_off_breaks_off_here(base: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(base).port)
    writer.write(f"GET {PREFIX}/short HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await reader.read()).endswith(b"\r\n\r\nabc")
    writer.close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("", "/", id="the root"),
        pytest.param("x//y/", "/x/y/", id="one slash for several"),
        pytest.param("a/../b", "/b", id="up and down"),
        pytest.param("%2e%2e/x", "/x", id="not beyond the root"),
        pytest.param("a%2Fb", "/a/b", id="an encoded slash"),
        pytest.param("%C3%A9 +&;=", "/%C3%A9%20+&;=", id="what is encoded"),
    ],
)
def test_paths_are_made_plain(path: str, expected: str) -> None:
    assert plain(path) == expected


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_method_query_and_body_arrive_as_they_were(base: str, client: aiohttp.ClientSession, method: str) -> None:
    body = "" if method in ("GET", "OPTIONS") else "some text"
    async with client.request(method, URL(f"{base}/echo?a=%2F&b=+c", encoded=True), data=body) as found:
        seen = await found.json()
    assert (seen["method"], seen["target"], seen["body"]) == (method, "/echo?a=%2F&b=+c", body)
    assert seen["headers"]["Host"] == URL(base).authority
    assert "Transfer-Encoding" not in seen["headers"]


async def test_who_asked_stays_here(base: str, client: aiohttp.ClientSession) -> None:
    headers = {"Authorization": "Bearer x", "Impersonate-User": "joe", "X-Remote-User": "root", "X-Mine": "1"}
    async with client.get(f"{base}/echo", headers=headers) as found:
        seen = (await found.json())["headers"]
    assert seen["X-Mine"] == "1"
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Uri"] == f"{PREFIX}/echo"
    assert not {"Authorization", "Impersonate-User", "X-Remote-User"} & seen.keys()


async def test_status_and_headers_come_back(base: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{base}/teapot") as found:
        assert (found.status, await found.text(), found.headers["Set-Cookie"]) == (418, "short and stout", "a=b")
        assert "X-Own" not in found.headers


async def test_redirects_are_not_followed_and_lead_back_here(base: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{base}/moved", allow_redirects=False) as found:
        assert (found.status, found.headers["Location"]) == (302, f"{PREFIX}/elsewhere?x=1")


async def test_links_of_a_page_lead_back_here(base: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{base}/page") as found:
        page = await found.text()
    assert page == (
        f'<a class="x" href="{PREFIX}/in">in</a><a href="other">rel</a><img src="http://far.test/i"><p href="/no">'
        f'<img src="{PREFIX}/i">'
    )


async def test_large_bodies_pass_in_pieces_and_heads_have_none(base: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{base}/large") as found:
        assert len(await found.read()) == 8 << 20
    async with client.head(f"{base}/large") as found:
        assert (found.status, await found.read(), found.headers["Content-Length"]) == (200, b"", str(8 << 20))


async def test_an_upgrade_passes_through(base: str, client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(f"{base}/socket") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "heard hello"


@pytest.mark.parametrize(
    ("offered", "passed"),
    [("one, two", "one, two"), (f"{TOKEN}, one", "one"), (TOKEN, None)],
    ids=["protocols", "a token and a protocol", "a token alone"],
)
async def test_a_token_among_the_protocols_stays_here(
    base: str, client: aiohttp.ClientSession, offered: str, passed: str | None
) -> None:
    async with client.get(f"{base}/echo", headers={"Sec-WebSocket-Protocol": offered}) as found:
        assert (await found.json())["headers"].get("Sec-WebSocket-Protocol") == passed


async def test_an_upgrade_is_passed_on_as_it_is_and_nobody_there_is_told() -> None:
    heard: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    far = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = far.sockets[0].getsockname()[1]
    forwarder = Forwarder(Tunnels(Table(NODE), Table(POD)))

    async def proxy(http: web.BaseRequest) -> object:
        try:
            return await forwarder.forward(http, Target(f"http://127.0.0.1:{port}/x", links=Links(PREFIX, ())))
        except ApiError as error:
            return web.Response(status=error.code, text=error.message)

    runner = web.ServerRunner(Listener(proxy))  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/", headers=headers) as found:
            assert found.status == 403
        far.close()
        async with session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/", headers=headers) as found:
            says = f"error dialing backend: dial tcp 127.0.0.1:{port}: connect: connection refused"
            assert (found.status, await found.text()) == (500, says)
    assert "x-forwarded-for: 127.0.0.1" in heard[0].lower()
    assert "x-forwarded-uri" not in heard[0].lower()
    await runner.cleanup()


REFUSED = "error trying to reach service: dial tcp 127.0.0.1:9: connect: connection refused"


async def test_nobody_there_is_503() -> None:
    forwarder = Forwarder(Tunnels(Table(NODE), Table(POD)))

    async def proxy(http: web.BaseRequest) -> object:
        with pytest.raises(ServiceUnavailable, match=f"^{REFUSED}$"):
            await forwarder.forward(http, Target("http://127.0.0.1:9/x"))
        return web.Response(text="refused")

    runner = web.ServerRunner(web.Server(proxy))  # type: ignore[arg-type]
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as found:
        assert await found.text() == "refused"
    await forwarder.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("web", ("http", "web", "")),
        ("web:80", ("http", "web", "80")),
        ("https:web:", ("https", "web", "")),
        ("https:web:https", ("https", "web", "https")),
    ],
)
def test_a_name_may_say_scheme_and_port(asked: str, found: tuple[str, str, str]) -> None:
    assert split_target(asked, "pod") == found


@pytest.mark.parametrize("asked", ["", ":", "ftp:web:21", "a:b:c:d", "https::1"])
def test_other_names_are_refused(asked: str) -> None:
    with pytest.raises(BadRequest, match="invalid pod request"):
        split_target(asked, "pod")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "", "x"])
def test_the_servers_own_machine_is_not_reached(address: str) -> None:
    with pytest.raises(BadRequest, match="address not allowed"):
        allowed_address(address)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("services/s/proxy/x", 'no endpoints available for service "s"', id="an address that is no pod's"),
        pytest.param(
            "pods/p:70000/proxy/x",
            "error trying to reach service: dial tcp: address 70000: invalid port",
            id="no port",
        ),
    ],
)
async def test_who_is_not_to_be_reached(cluster: Cluster, path: str, says: str) -> None:
    base, version = "/api/v1/namespaces/default", "discovery.k8s.io/v1"
    spec = {"clusterIP": "None", "ports": [{"port": 80}]}
    await cluster.ask("POST", f"{base}/services", {"metadata": {"name": "s"}, "spec": spec})
    await cluster.ask("POST", f"{base}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await cluster.ask("POST", f"{base}/pods", pod)
    status = {"status": {"podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}]}}
    await cluster.ask("PATCH", f"{base}/pods/p/status", status, Content_Type="application/merge-patch+json")
    meta = {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}}
    endpoints = [{"addresses": ["10.1.2.4"], "targetRef": {"kind": "Pod", "namespace": "default", "name": "p"}}]
    slice_ = {"metadata": meta, "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": endpoints}
    made = await cluster.ask("POST", f"/apis/{version}/namespaces/default/endpointslices", slice_)
    assert made.status == 201
    refused = await cluster.ask("GET", f"{base}/{path}")
    assert (refused.status, refused.json["message"]) == (503, says)
