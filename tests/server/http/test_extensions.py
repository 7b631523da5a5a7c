"""A group that another server serves: found, described, reached as who one is, and gone again."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pylet.api.object import condition_of
from pylet.server.pki import Pki
from tests.waiting import answered

API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "metrics.test/v1",
    "resources": [
        {"name": "loads", "singularName": "load", "namespaced": True, "kind": "Load", "verbs": ["get", "list"]},
        {"name": "loads/scale", "singularName": "", "namespaced": True, "kind": "Scale", "verbs": ["get"]},
    ],
}
DOCUMENT = "/openapi/v3/apis/metrics.test/v1?hash=A1"
LOADS = "/apis/metrics.test/v1/loads"
SWAGGER = {
    "swagger": "2.0",
    "paths": {
        LOADS: {"get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/test.Load"}}}}},
        "/apis/other.test/v1/": {"get": {"responses": {}}},
    },
    "definitions": {"test.Load": {"type": "object", "description": "How much there is to do."}},
}
METRICS = "/apis/external.metrics.k8s.io/v1beta1"
QUEUE = f"{METRICS}/namespaces/default/queue"
QUEUE_TARGET = {"type": "AverageValue", "averageValue": "10"}


class Extension:
    """A server that believes whoever the cluster's front proxy vouches for."""

    def __init__(self, cluster: Any, port: int, ca: str) -> None:
        self.cluster = cluster
        self.port = port
        self.ca = ca

    async def register(self, **spec: Any) -> None:
        service = {"metadata": {"name": "ext"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
        await self.cluster.ask("POST", "/api/v1/namespaces/default/services", service)
        told = {
            "group": "metrics.test",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"namespace": "default", "name": "ext", "port": self.port},
            "caBundle": self.ca,
            **spec,
        }
        name = f"{told['version']}.{told['group']}"
        answer = await self.cluster.ask("POST", API_SERVICES, {"metadata": {"name": name}, "spec": told})
        assert answer.status == 201, answer.body

    async def available(self, status: str, name: str = "v1.metrics.test") -> dict[str, Any]:
        """The condition, once it has that status."""

        async def condition() -> dict[str, Any]:
            found = (await self.cluster.ask("GET", f"{API_SERVICES}/{name}")).json
            return condition_of(found, "Available") or {}

        return await answered(condition, lambda found: found.get("status") == status)


@pytest.fixture
async def extension(cluster: Any, tmp_path: Path) -> AsyncIterator[Extension]:
    pki = Pki(tmp_path / "ext")
    pki.ensure(["ext.default.svc"], datetime.now(UTC))
    trust = await cluster.ask("GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cadata=trust.json["data"]["requestheader-client-ca-file"]
    )
    context.verify_mode = ssl.CERT_REQUIRED
    pki.serving.load_into(context)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/apis/metrics.test/v1":
            return web.json_response(RESOURCES)
        if request.path == "/openapi/v3":
            others = {f"apis/other{number}/v1": {"serverRelativeURL": "x" * 1000} for number in range(500)}
            return web.json_response({"paths": {**others, "apis/metrics.test/v1": {"serverRelativeURL": DOCUMENT}}})
        if request.path == "/openapi/v2":
            return web.json_response(SWAGGER)
        if request.path == QUEUE:
            return web.json_response({"items": [{"value": "30"}]})
        if request.path == METRICS:
            return web.json_response({"resources": []})
        if request.path.endswith("/elsewhere"):
            return web.Response(status=int(request.query["as"]), headers={"Location": "https://elsewhere.test/"})
        headers = {name: request.headers.getall(name) for name in request.headers if name.startswith("X-Remote")}
        return web.json_response({"path": request.path_qs, "who": headers})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    ca = base64.b64encode(pki.ca.certificate.read_bytes()).decode()
    yield Extension(cluster, runner.addresses[0][1], ca)
    await runner.cleanup()


async def test_a_group_comes_and_goes_with_its_server(cluster: Any, extension: Extension) -> None:
    await extension.register()
    condition = await extension.available("True")
    assert (condition["reason"], condition["message"]) == ("Passed", "all checks passed")
    groups = (await cluster.ask("GET", "/apis")).json["groups"]
    assert "metrics.test" in [group["name"] for group in groups]
    aggregated = await cluster.ask(
        "GET", "/apis", Accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
    found = next(group for group in aggregated.json["items"] if group["metadata"]["name"] == "metrics.test")
    (resource,) = found["versions"][0]["resources"]
    assert resource["resource"] == "loads"
    assert [sub["subresource"] for sub in resource["subresources"]] == ["scale"]
    assert (await cluster.ask("GET", "/apis/metrics.test/v1")).json == RESOURCES
    await cluster.ask("DELETE", f"{API_SERVICES}/v1.metrics.test")
    assert (await cluster.ask("GET", "/apis/metrics.test/v1")).status == 404
    assert "metrics.test" not in [group["name"] for group in (await cluster.ask("GET", "/apis")).json["groups"]]


async def test_who_answers_is_available_whatever_the_answer_says(cluster: Any, extension: Extension) -> None:
    await extension.register(group="mute.test")
    assert (await extension.available("True", "v1.mute.test"))["reason"] == "Passed"


async def test_groups_and_versions_are_told_by_their_priority(cluster: Any, extension: Extension) -> None:
    for version, of_group, of_version in (("v1", 1, 2), ("v2", 1, 1), ("v1alpha1", 17850, 3)):
        await extension.register(version=version, groupPriorityMinimum=of_group, versionPriority=of_version)
        await extension.available("True", f"{version}.metrics.test")

    async def told() -> tuple[list[str], list[str]]:
        groups = (await cluster.ask("GET", "/apis")).json["groups"]
        found = next(group for group in groups if group["name"] == "metrics.test")
        return [group["name"] for group in groups], [version["version"] for version in found["versions"]]

    groups, versions = await told()
    assert groups[:3] == ["apiregistration.k8s.io", "metrics.test", "apps"]
    assert versions == ["v1alpha1", "v1", "v2"]
    less = {"spec": {"groupPriorityMinimum": 1, "versionPriority": 1}}
    await cluster.ask(
        "PATCH", f"{API_SERVICES}/v1alpha1.metrics.test", less, Content_Type="application/merge-patch+json"
    )
    groups, versions = await told()
    assert (groups[-1], versions) == ("metrics.test", ["v1", "v2", "v1alpha1"])


async def test_it_hears_who_asks(cluster: Any, extension: Extension) -> None:
    await extension.register()
    await extension.available("True")
    path = "/apis/metrics.test/v1/namespaces/a/loads/x?limit=1"
    seen = (
        await cluster.ask("GET", path, X_Remote_User="joe", Impersonate_User="ann", Impersonate_Group="system:masters")
    ).json
    assert seen["path"] == path
    assert seen["who"]["X-Remote-User"] == ["ann"]
    assert seen["who"]["X-Remote-Group"] == ["system:masters", "system:authenticated"]
    assert (await cluster.ask("GET", path, anonymous=True)).status in (401, 403)


@pytest.mark.parametrize("status", [301, 307, 399])
async def test_it_redirects_nobody(cluster: Any, extension: Extension, status: int) -> None:
    await extension.register()
    await extension.available("True")
    answer = await cluster.ask("GET", f"/apis/metrics.test/v1/elsewhere?as={status}")
    assert (answer.status, "Location" in answer.headers) == (502, False)
    assert answer.body == b"the backend attempted to redirect this request, which is not permitted"


async def test_its_openapi_document_is_among_the_cluster_s(cluster: Any, extension: Extension) -> None:
    await extension.register()
    await extension.available("True")
    paths = (await cluster.ask("GET", "/openapi/v3")).json["paths"]
    assert paths["apis/metrics.test/v1"] == {"serverRelativeURL": DOCUMENT}
    assert "apis/apps/v1" in paths
    assert not any(path.startswith("apis/other") for path in paths)
    assert (await cluster.ask("GET", DOCUMENT)).json["path"] == DOCUMENT
    await cluster.ask("DELETE", f"{API_SERVICES}/v1.metrics.test")
    assert "apis/metrics.test/v1" not in (await cluster.ask("GET", "/openapi/v3")).json["paths"]
    assert (await cluster.ask("GET", DOCUMENT)).status == 404


async def test_a_server_nobody_can_trust_is_not_available(cluster: Any, extension: Extension) -> None:
    await extension.register(caBundle=None)
    condition = await extension.available("False")
    url = rf"https://localhost:{extension.port}/apis/metrics\.test/v1"
    says = rf'failing or missing response from {url}: Get "{url}": tls: failed to verify certificate: [^<>]+'
    assert condition["reason"] == "FailedDiscoveryCheck"
    assert re.fullmatch(says, condition["message"])
    refused = await cluster.ask("GET", "/apis/metrics.test/v1/loads")
    assert (refused.status, refused.body) == (503, b"service unavailable\n")


async def test_a_missing_service_is_said(cluster: Any, extension: Extension) -> None:
    await extension.register(service={"namespace": "default", "name": "other", "port": 443})
    condition = await extension.available("False")
    assert condition["reason"] == "ServiceNotFound"
    assert condition["message"] == 'service/other in "default" is not present'
    paths = (await cluster.ask("GET", "/")).json["paths"]
    assert {"/apis/metrics.test", "/apis/metrics.test/v1"} <= set(paths)


async def test_an_autoscaler_reads_its_metrics_there(cluster: Any, extension: Extension) -> None:
    group = {"group": "external.metrics.k8s.io", "version": "v1beta1"}
    await extension.register()
    spec = (await cluster.ask("GET", f"{API_SERVICES}/v1.metrics.test")).json["spec"] | group
    named = {"metadata": {"name": "v1beta1.external.metrics.k8s.io"}, "spec": spec}
    await cluster.ask("POST", API_SERVICES, named)
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    workload = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    assert (await cluster.ask("POST", deployments, workload)).status == 201
    metric = {"type": "External", "external": {"metric": {"name": "queue"}, "target": QUEUE_TARGET}}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    scaler = {"metadata": {"name": "web"}, "spec": {"scaleTargetRef": reference, "maxReplicas": 9, "metrics": [metric]}}
    await answered(lambda: cluster.ask("GET", QUEUE), lambda answer: answer.status == 200)
    path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    assert (await cluster.ask("POST", path, scaler)).status == 201
    await answered(lambda: cluster.ask("GET", f"{deployments}/web"), lambda web: web.json["spec"]["replicas"] == 3)


async def test_the_document_of_version_2_tells_of_them(cluster: Any, extension: Extension) -> None:
    without = await cluster.ask("GET", "/openapi/v2")
    await extension.register()
    await extension.available("True")
    answer = await cluster.ask("GET", "/openapi/v2")
    assert answer.json["definitions"]["test.Load"] == SWAGGER["definitions"]["test.Load"]  # type: ignore[index]
    assert answer.json["paths"].keys() - without.json["paths"].keys() == {LOADS}
    assert answer.headers["ETag"] != without.headers["ETag"]
    again = await cluster.ask("GET", "/openapi/v2", If_None_Match=answer.headers["ETag"])
    assert again.status == 304
    gnostic = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    assert b"How much there is to do." in (await cluster.ask("GET", "/openapi/v2", Accept=gnostic)).body
