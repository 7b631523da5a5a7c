"""A webhook that really listens, asked by a server that really serves."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from pylet.api.object import Object
from pylet.server.pki import Pki
from tests.server.admission.dynamic.conftest import rule
from tests.server.conftest import Cluster, cluster

__all__ = ["cluster"]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
GROUP = "/apis/admissionregistration.k8s.io/v1"


class Hook:
    """`client` is its clientConfig; it answers with `response`, or with what it `says` to a uid."""

    def __init__(self, client: Object) -> None:
        self.client = client
        self.response: Object = {"allowed": True}
        self.says: Callable[[str], web.Response] | None = None
        self.asked: list[Object] = []

    async def handle(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.asked.append(review["request"])
        uid = review["request"]["uid"]
        if self.says is not None:
            return self.says(uid)
        return web.json_response({**review, "response": {"uid": uid, **self.response}})

    def configuration(self, kind: str, *rules: Object, **more: Any) -> Object:
        webhook = {
            "name": "a.hooks.test",
            "clientConfig": self.client,
            "rules": list(rules),
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }
        version = "admissionregistration.k8s.io/v1"
        return {"apiVersion": version, "kind": kind, "metadata": {"name": "one"}, "webhooks": [webhook]}


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    pki = Pki(tmp_path / "hook")
    pki.ensure(["127.0.0.1"], datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.serving.certificate, pki.serving.key)
    bundle = base64.b64encode(pki.ca.certificate.read_bytes()).decode()
    made = Hook({"url": "", "caBundle": bundle})
    app = web.Application()
    app.router.add_post("/admit", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    made.client["url"] = f"https://127.0.0.1:{runner.addresses[0][1]}/admit"
    yield made
    await runner.cleanup()


async def test_what_a_webhook_says_reaches_the_client(cluster: Cluster, hook: Hook) -> None:
    body = hook.configuration("MutatingWebhookConfiguration", rule("configmaps", operations=["CREATE"]))
    assert (await cluster.ask("POST", f"{GROUP}/mutatingwebhookconfigurations", body)).status == 201
    patch = [{"op": "add", "path": "/data", "value": {"x": "1"}}]
    hook.response = {
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(orjson.dumps(patch)).decode(),
        "warnings": ["careful"],
    }
    made = await cluster.ask("POST", CONFIG_MAPS, {"metadata": {"name": "c"}})
    assert (made.status, made.json["data"], made.headers["Warning"]) == (201, {"x": "1"}, '299 - "careful"')
    hook.response = {"allowed": False, "status": {"message": "no", "code": 403}}
    refused = await cluster.ask("POST", CONFIG_MAPS, {"metadata": {"name": "d"}})
    assert (refused.status, refused.json["message"]) == (403, 'admission webhook "a.hooks.test" denied the request: no')


async def test_a_connection_can_be_refused(cluster: Cluster, hook: Hook) -> None:
    body = hook.configuration("ValidatingWebhookConfiguration", rule("pods/*", operations=["CONNECT"]))
    await cluster.ask("POST", f"{GROUP}/validatingwebhookconfigurations", body)
    hook.response = {"allowed": False}
    refused = await cluster.ask("POST", "/api/v1/namespaces/default/pods/p/exec?command=ls&command=-l&stdin=true")
    assert refused.json["message"] == 'admission webhook "a.hooks.test" denied the request without explanation'
    options = {"kind": "PodExecOptions", "apiVersion": "v1", "stdin": True, "command": ["ls", "-l"]}
    assert (hook.asked[0]["object"], hook.asked[0]["name"]) == (options, "p")


async def test_what_a_connection_is_warned_of_is_told_though_it_fails(cluster: Cluster, hook: Hook) -> None:
    body = hook.configuration("ValidatingWebhookConfiguration", rule("pods/*", operations=["CONNECT"]))
    await cluster.ask("POST", f"{GROUP}/validatingwebhookconfigurations", body)
    hook.response = {"allowed": True, "warnings": ["careful"]}
    for path in ("exec?command=ls", "proxy/"):
        failed = await cluster.ask("POST", f"/api/v1/namespaces/default/pods/p/{path}")
        assert (failed.status, failed.headers["Warning"]) == (404, '299 - "careful"')


async def test_custom_resources_are_seen_in_the_version_a_rule_names(cluster: Cluster, hook: Hook) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v1beta1")]
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.hooks.test"},
        "spec": {"group": "hooks.test", "scope": "Cluster", "names": names, "versions": versions},
    }
    await cluster.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    named = {**rule("things", group="hooks.test"), "apiVersions": ["v1beta1"]}
    body = hook.configuration("ValidatingWebhookConfiguration", named)
    await cluster.ask("POST", f"{GROUP}/validatingwebhookconfigurations", body)
    thing = {"apiVersion": "hooks.test/v1", "kind": "Thing", "metadata": {"name": "t"}}
    async with asyncio.timeout(60):
        while (await cluster.ask("POST", "/apis/hooks.test/v1/things", thing)).status != 201:
            pass  # the definition's controller names it soon
    request = hook.asked[0]
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1beta1", "v1")
    assert request["object"]["apiVersion"] == "hooks.test/v1beta1"
