"""Calling webhooks: by service and by URL, trusted or not, late, failing, too large."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pylet.api.kind import Kind
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key
from pylet.client.view import Entry, Table
from pylet.server import webhooks
from pylet.server.credentials import FromKubeconfig, Proof
from pylet.server.pki import Pki

NAME = "hook.default.svc"
OWN = Key("default", "kubernetes")
Answer = Callable[[web.Request], Any]


class Hook:
    """A webhook behind a service: what it answers can be changed."""

    def __init__(self, pki: Pki, port: int, client: webhooks.WebhookClient, tables: dict[Kind, Table]) -> None:
        self.pki = pki
        self.tables = tables
        self.port = port
        self.client = client
        self.ca = base64.b64encode(pki.ca.certificate.read_bytes()).decode()
        self.answer: Answer = lambda request: web.json_response({"host": request.host, "query": request.query_string})

    async def call(
        self, *, timeout_seconds: float = 30, credentials: webhooks.Credentials | None = None, **config: Any
    ) -> Any:
        service = {"name": "hook", "namespace": "default", "port": 443, "path": "/convert"}
        settled = {"service": service, "caBundle": self.ca, **config}
        return await self.client.call(settled, {}, timeout_seconds=timeout_seconds, credentials=credentials)


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    pki = Pki(tmp_path)
    pki.ensure([NAME, "kubernetes.default.svc", "127.0.0.1"], datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.serving.certificate, pki.serving.key)
    context.load_verify_locations(pki.ca.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    made: list[Hook] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        found = made[0].answer(request)
        answer: web.StreamResponse = await found if asyncio.iscoroutine(found) else found
        return answer

    app = web.Application()
    app.router.add_post("/convert", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    tables = {SERVICE: Table(SERVICE), ENDPOINT_SLICE: Table(ENDPOINT_SLICE)}
    place = {"namespace": "default", "resourceVersion": "1", "uid": "1"}
    service = {"metadata": {"name": "hook", **place}, "spec": {"clusterIP": "10.43.0.9", "ports": [{"port": 443}]}}
    tables[SERVICE].put(Entry.of(SERVICE, service))
    labels = {"kubernetes.io/service-name": "hook"}
    endpoints = [{"addresses": ["127.0.0.2"], "conditions": {"ready": False}}, {"addresses": ["127.0.0.1"]}]
    slice_ = {"metadata": {"name": "hook-1", "labels": labels, **place}, "endpoints": endpoints}
    tables[ENDPOINT_SLICE].put(Entry.of(ENDPOINT_SLICE, {**slice_, "ports": [{"port": port}]}))
    client = webhooks.WebhookClient(tables.__getitem__, aiohttp.TCPConnector, pki.proof)
    made.append(Hook(pki, port, client, tables))
    yield made[0]
    await client.close()
    await runner.cleanup()


async def test_a_service_is_reached_at_a_ready_endpoint_under_its_own_name(hook: Hook) -> None:
    assert await hook.call() == {"host": f"{NAME}:443", "query": "timeout=30s"}


class Showing:
    """Shows everybody the same; `asked` are those it was asked for."""

    def __init__(self, pem: bytes, *headers: tuple[str, str]) -> None:
        self.proof = Proof(pem, headers)
        self.asked: list[str] = []

    def of(self, target: str) -> Proof:
        self.asked.append(target)
        return self.proof


def who(request: web.Request) -> web.Response:
    assert request.transport is not None
    certificate = request.transport.get_extra_info("peercert") or {"subject": ()}
    names = {name: value for ((name, value),) in certificate["subject"]}
    return web.json_response({"is": names.get("commonName"), "says": request.headers.get("Authorization")})


async def test_a_webhook_is_shown_what_the_server_has_for_it(hook: Hook) -> None:
    hook.answer = who
    pair = hook.pki.kubelet_client
    pem = pair.certificate.read_bytes() + pair.key.read_bytes()
    showing = Showing(pem, ("Authorization", "Bearer t"))
    assert await hook.call() == {"is": None, "says": None}
    assert await hook.call(credentials=showing) == {"is": "kube-apiserver", "says": "Bearer t"}
    url = f"https://127.0.0.1:{hook.port}/convert"
    assert await hook.call(credentials=showing, service=None, url=url) == {"is": "kube-apiserver", "says": "Bearer t"}
    assert showing.asked == [f"{NAME}:443", f"127.0.0.1:{hook.port}"]


async def test_who_is_behind_the_servers_own_api_is_shown_the_server(hook: Hook) -> None:
    hook.answer = who
    services, slices = hook.tables[SERVICE], hook.tables[ENDPOINT_SLICE]
    found, slice_ = services.entries[Key("default", "hook")].object, slices.entries[Key("default", "hook-1")].object
    services.put(Entry.of(SERVICE, {**found, "metadata": {**found["metadata"], "name": OWN.name}}))
    labels = {"kubernetes.io/service-name": OWN.name}
    slices.put(Entry.of(ENDPOINT_SLICE, {**slice_, "metadata": {**slice_["metadata"], "labels": labels}}))
    service = {"name": OWN.name, "namespace": OWN.namespace, "path": "/convert"}
    assert await hook.call(service=service, caBundle="") == {"is": "system:admin", "says": None}


async def test_what_cannot_be_shown_is_told(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "k.yaml").write_text("users: [{name: '*', user: {tokenFile: nix}}]")
    with pytest.raises(webhooks.Uncallable, match="could not get REST client: unable to read tokenFile"):
        await hook.call(credentials=FromKubeconfig(tmp_path / "k.yaml"))


async def test_the_name_in_a_url_is_checked(hook: Hook) -> None:
    with pytest.raises(webhooks.WebhookFailed, match=r"failed to verify certificate: .*Hostname mismatch"):
        await hook.call(service=None, url=f"https://localhost:{hook.port}/convert")


@pytest.mark.parametrize("path", ["/convert", "//convert", "/./convert/"])
async def test_a_url_is_called_with_its_path_made_plain(hook: Hook, path: str) -> None:
    url = f"https://127.0.0.1:{hook.port}{path}"
    assert await hook.call(service=None, url=url) == {"host": f"127.0.0.1:{hook.port}", "query": "timeout=30s"}


async def test_who_does_not_listen_is_named(hook: Hook) -> None:
    with pytest.raises(webhooks.WebhookFailed, match=r"dial tcp 127.0.0.1:1: connect: connection refused"):
        await hook.call(service=None, url="https://127.0.0.1:1/convert")


async def test_who_is_not_signed_by_the_bundle_is_not_trusted(hook: Hook) -> None:
    with pytest.raises(webhooks.WebhookFailed, match="x509: certificate signed by unknown authority"):
        await hook.call(caBundle="")


async def test_who_is_late_is_not_waited_for(hook: Hook) -> None:
    async def never(request: web.Request) -> Any:
        await asyncio.Event().wait()

    hook.answer = never
    with pytest.raises(webhooks.WebhookFailed, match="context deadline exceeded"):
        await hook.call(timeout_seconds=0.1)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(web.Response(status=404), "could not find the requested resource", id="nobody there"),
        pytest.param(web.Response(status=500, text="broken"), r'an error on the server \("broken"\)', id="broken"),
        pytest.param(
            web.json_response({"kind": "Status", "status": "Failure", "message": "no"}, status=403),
            "^no$",
            id="a Status",
        ),
        pytest.param(web.Response(text="hello"), "json parse error: json: cannot unmarshal string", id="no JSON"),
    ],
)
async def test_what_is_no_answer_fails(hook: Hook, answer: web.Response, says: str) -> None:
    hook.answer = lambda request: answer
    with pytest.raises(webhooks.WebhookFailed, match=says):
        await hook.call()


async def test_an_answer_without_end_is_cut(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_ANSWER_BYTES", 1000)
    hook.answer = lambda request: web.Response(body=b"x" * 2000)
    with pytest.raises(webhooks.WebhookFailed, match="larger than 1000 bytes"):
        await hook.call()


@pytest.mark.parametrize(
    ("service", "says"),
    [
        ({"name": "nobody", "namespace": "default"}, 'service "nobody" not found'),
        ({"name": "hook", "namespace": "default", "port": 1}, 'no service port 1 found for service "hook"'),
    ],
)
async def test_a_service_that_cannot_be_resolved_fails(hook: Hook, service: dict[str, Any], says: str) -> None:
    with pytest.raises(webhooks.WebhookFailed, match=says):
        await hook.call(service=service)
