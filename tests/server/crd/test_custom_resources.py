"""Custom resources over HTTP: from a definition to its objects and back to nothing."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from pylet.server.crd import counted
from pylet.server.pki import Pki
from pylet.server.registry import state
from tests.server.kit import gone
from tests.waiting import answered

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
MERGE = "application/merge-patch+json"
SPEC = {
    "type": "object",
    "properties": {"color": {"type": "string", "default": "red"}, "replicas": {"type": "integer", "minimum": 0}},
}


def version(name: str, **changes: Any) -> dict[str, Any]:
    properties = {"spec": SPEC, "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    return {"name": name, "served": True, "storage": False, "schema": schema, **changes}


def definition(*versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    names = {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": list(versions), **spec},
    }


def widget(name: str, api_version: str = "v1", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"example.com/{api_version}", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


async def define(cluster: Any, crd: dict[str, Any]) -> None:
    made = await cluster.ask("POST", DEFINITIONS, crd)
    assert made.status == 201, made.body
    await answered(
        lambda: cluster.ask("GET", f"{DEFINITIONS}/{crd['metadata']['name']}"),
        lambda answer: b"InitialNamesAccepted" in answer.body,
    )


async def test_what_is_defined_is_served(cluster: Any) -> None:
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    column = {"name": "Color", "type": "string", "jsonPath": ".spec.color"}
    await define(
        cluster,
        definition(
            version(
                "v1",
                storage=True,
                subresources={"status": {}, "scale": scale},
                additionalPrinterColumns=[column],
                selectableFields=[{"jsonPath": ".spec.color"}],
            )
        ),
    )
    made = await cluster.ask("POST", WIDGETS, widget("a", replicas=3, odd=1))
    assert made.status == 201
    assert made.json["spec"] == {"replicas": 3, "color": "red"}
    assert made.headers["Warning"] == r'299 - "unknown field \"spec.odd\""'
    strict = await cluster.ask("POST", f"{WIDGETS}?fieldValidation=Strict", widget("b", odd=1))
    assert strict.status == 400
    assert (await cluster.ask("POST", WIDGETS, widget("b", replicas=-1))).status == 422

    status = {"status": {"replicas": 2}, "spec": {"color": "blue"}}
    told = await cluster.ask("PATCH", f"{WIDGETS}/a/status", status, Content_Type=MERGE)
    assert (told.json["spec"]["color"], told.json["status"], told.json["metadata"]["generation"]) == (
        "red",
        {"replicas": 2},
        1,
    )
    scaled = await cluster.ask("PATCH", f"{WIDGETS}/a/scale", {"spec": {"replicas": 5}}, Content_Type=MERGE)
    assert (scaled.json["spec"], scaled.json["status"]) == ({"replicas": 5}, {"replicas": 2})

    strategic = "application/strategic-merge-patch+json"
    assert (await cluster.ask("PATCH", f"{WIDGETS}/a", {}, Content_Type=strategic)).status == 415
    table = await cluster.ask("GET", WIDGETS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert table.json["rows"][0]["cells"] == ["a", "red"]
    for color, count in (("red", 1), ("blue", 0)):
        found = await cluster.ask("GET", f"{WIDGETS}?fieldSelector=spec.color%3D{color}")
        assert len(found.json["items"]) == count
    assert (await cluster.ask("GET", f"{WIDGETS}?fieldSelector=spec.replicas%3D5")).status == 400


def counts_of(sample: str) -> float:
    """The value by the name and labels."""
    return sum(float(line.rpartition(" ")[2]) for line in counted.lines() if line.rpartition(" ")[0] == sample)


async def test_each_version_has_a_scale_of_its_own_or_none(cluster: Any) -> None:
    def scaled_by(field: str) -> dict[str, Any]:
        return {"scale": {"specReplicasPath": f".spec.{field}", "statusReplicasPath": ".status.replicas"}}

    spec = {"type": "object", "properties": {name: {"type": "integer"} for name in ("replicas", "count")}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    one = version("v1", schema=schema, subresources=scaled_by("replicas"))
    two = version("v2", schema=schema, subresources=scaled_by("count"), storage=True)
    await define(cluster, definition(one, two, version("v3", schema=schema)))
    await cluster.ask("POST", f"{WIDGETS}?fieldManager=maker", widget("a", replicas=1, count=2))

    async def scale(api_version: str, replicas: int, manager: str) -> Any:
        path = f"{WIDGETS.replace('/v1/', f'/{api_version}/')}/a/scale?fieldManager={manager}"
        return await cluster.ask("PATCH", path, {"spec": {"replicas": replicas}}, Content_Type=MERGE)

    assert (await scale("v1", 5, "first")).json["spec"] == {"replicas": 5}
    assert (await scale("v2", 6, "second")).json["spec"] == {"replicas": 6}
    assert (await scale("v3", 7, "third")).status == 404
    found = (await cluster.ask("GET", f"{WIDGETS}/a")).json
    assert found["spec"] == {"replicas": 5, "count": 6}
    owned = {entry["manager"]: entry["fieldsV1"] for entry in found["metadata"]["managedFields"]}
    # Whoever scales takes over what the others' versions call the replicas: as kube-apiserver answered.
    assert owned == {"second": {"f:spec": {"f:count": {}}}, "maker": {"f:spec": {".": {}, "f:count": {}}}}


async def test_what_changes_nothing_is_judged_too(cluster: Any) -> None:
    rule = {"rule": "!oldSelf.hasValue()", "optionalOldSelf": True, "message": "only once"}
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [rule]}}}
        },
    }
    await define(cluster, definition(version("v1", storage=True, schema={"openAPIV3Schema": schema})))
    assert (await cluster.ask("POST", WIDGETS, widget("a", a="x"))).status == 201
    evaluated = "apiserver_cel_evaluation_duration_seconds_count"
    before = counts_of(evaluated)
    again = await cluster.ask("PATCH", f"{WIDGETS}/a", {"spec": {"a": "x"}}, Content_Type=MERGE)
    assert counts_of(evaluated) == before + 1
    assert counts_of("apiserver_cel_compilation_duration_seconds_count") >= 1
    assert (again.status, again.json["details"]["causes"][0]["field"]) == (422, "spec.a")


async def test_each_version_shows_the_same_objects(cluster: Any) -> None:
    old = version("v1alpha1", deprecated=True)
    await define(cluster, definition(version("v1", storage=True), old, version("v2", served=False)))
    await cluster.ask("POST", WIDGETS.replace("/v1/", "/v1alpha1/"), widget("a", "v1alpha1", color="blue"))
    seen = await cluster.ask("GET", f"{WIDGETS}/a")
    assert (seen.json["apiVersion"], seen.json["spec"]["color"]) == ("example.com/v1", "blue")
    again = await cluster.ask("GET", f"{WIDGETS.replace('/v1/', '/v1alpha1/')}/a")
    assert again.json["apiVersion"] == "example.com/v1alpha1"
    assert "example.com/v1alpha1 Widget is deprecated; use example.com/v1 Widget" in again.headers["Warning"]
    assert (await cluster.ask("GET", WIDGETS.replace("/v1/", "/v2/"))).status == 404


async def test_a_default_that_comes_later_shows_in_what_was_stored_before(cluster: Any) -> None:
    plain = version("v1", storage=True)
    plain["schema"]["openAPIV3Schema"]["properties"] = {"spec": {"type": "object", "properties": {}}}
    await define(cluster, definition(plain))
    await cluster.ask("POST", WIDGETS, widget("a"))
    ends = await watch(cluster, WIDGETS)
    patch = {"spec": {"versions": [version("v1", storage=True)]}}
    await cluster.ask("PATCH", f"{DEFINITIONS}/widgets.example.com", patch, Content_Type=MERGE)
    assert (await cluster.ask("GET", f"{WIDGETS}/a")).json["spec"] == {"color": "red"}
    await asyncio.wait_for(ends, 60)


async def watch(cluster: Any, path: str) -> asyncio.Task[bytes]:
    """Everything a watch brings until the server ends it."""
    answer = await cluster.admin.get(f"{cluster.running.url}{path}?watch=true")
    return asyncio.create_task(answer.read())


async def test_a_definition_goes_with_its_objects(cluster: Any) -> None:
    await define(cluster, definition(version("v1", storage=True)))
    held = widget("held")
    held["metadata"]["finalizers"] = ["example.com/held"]
    await cluster.ask("POST", WIDGETS, held)
    await cluster.ask("POST", WIDGETS, widget("free"))
    ends = await watch(cluster, WIDGETS)
    marked = await cluster.ask("DELETE", f"{DEFINITIONS}/widgets.example.com")
    assert marked.json["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    refused = await cluster.ask("POST", WIDGETS, widget("late"))
    assert refused.status == 403
    await gone(cluster, f"{WIDGETS}/free")
    assert (await cluster.ask("GET", f"{WIDGETS}/held")).status == 200
    await cluster.ask("PATCH", f"{WIDGETS}/held", {"metadata": {"finalizers": None}}, Content_Type=MERGE)
    await gone(cluster, f"{DEFINITIONS}/widgets.example.com")
    assert (await cluster.ask("GET", WIDGETS)).status == 404
    assert b'"DELETED"' in await asyncio.wait_for(ends, 60)


async def test_owners_and_namespaces_take_custom_objects_along(cluster: Any) -> None:
    await define(cluster, definition(version("v1", storage=True)))
    owner = (await cluster.ask("POST", WIDGETS, widget("owner"))).json
    owned = {"metadata": {"name": "owned"}}
    reference = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned["metadata"]["ownerReferences"] = [reference]  # type: ignore[assignment]
    await cluster.ask("POST", "/api/v1/namespaces/default/configmaps", owned)
    await cluster.ask("DELETE", f"{WIDGETS}/owner")
    await gone(cluster, "/api/v1/namespaces/default/configmaps/owned")

    await cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "going"}})
    going = WIDGETS.replace("default", "going")
    await cluster.ask("POST", going, widget("a"))
    await cluster.ask("DELETE", "/api/v1/namespaces/going")
    await gone(cluster, "/api/v1/namespaces/going")
    assert (await cluster.ask("GET", going)).json["items"] == []


@asynccontextmanager
async def webhook(pki: Pki, answers: Callable[[dict[str, Any]], Any]) -> AsyncIterator[str]:
    """A conversion webhook with the server's own certificate; gives its URL."""

    async def handle(request: web.Request) -> web.Response:
        review = await request.json()
        found = answers(review["request"])
        response = {"uid": review["request"]["uid"], **(await found if asyncio.iscoroutine(found) else found)}
        return web.json_response({**review, "request": None, "response": response})

    app = web.Application()
    app.router.add_post("/convert", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.serving.certificate, pki.serving.key)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield f"https://127.0.0.1:{port}/convert"
    finally:
        await runner.cleanup()


def painted(request: dict[str, Any]) -> dict[str, Any]:
    """Converts by noting the version in the color, and tries to rename what it must not."""
    wanted = request["desiredAPIVersion"]
    found = []
    for obj in request["objects"]:
        obj["apiVersion"] = wanted
        obj["spec"]["color"] += f"-{wanted[-2:]}"
        obj["metadata"]["labels"] = {"converted": "true"}
        obj["metadata"]["finalizers"] = ["not/allowed"]
        found.append(obj)
    return {"result": {"status": "Success"}, "convertedObjects": found}


def conversion(url: str, ca: Path) -> dict[str, Any]:
    client = {"url": url, "caBundle": base64.b64encode(ca.read_bytes()).decode()}
    return {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client}}


async def test_a_webhook_converts_between_versions(cluster: Any) -> None:
    pki = cluster.running.pki
    asked: list[int] = []
    calls = 'apiserver_conversion_webhook_request_total{failure_type="",result="success"}'
    of = 'crd_name="widgets.example.com",from_version="v1",succeeded="true",to_version="v2"'
    conversions = f"apiserver_crd_conversion_webhook_duration_seconds_count{{{of}}}"
    before = counts_of(calls), counts_of(conversions)

    def answers(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(len(request["objects"]))
        return painted(request)

    async with webhook(pki, answers) as url:
        versions = version("v1", storage=True), version("v2")
        await define(cluster, definition(*versions, conversion=conversion(url, pki.ca.certificate)))
        for name in ("a", "b"):
            assert (await cluster.ask("POST", WIDGETS, widget(name, color="red"))).status == 201
        assert asked == []
        second = WIDGETS.replace("/v1/", "/v2/")
        listed = await cluster.ask("GET", second)
        assert [obj["spec"]["color"] for obj in listed.json["items"]] == ["red-v2", "red-v2"]
        assert listed.json["items"][0]["metadata"]["labels"] == {"converted": "true"}
        assert "finalizers" not in listed.json["items"][0]["metadata"]
        assert asked == [2]
        assert (counts_of(calls), counts_of(conversions)) == (before[0] + 1, before[1] + 1)

        put = await cluster.ask("PATCH", f"{second}/a", {"spec": {"color": "blue"}}, Content_Type=MERGE)
        assert put.json["spec"]["color"] == "blue"
        assert (await cluster.ask("GET", f"{WIDGETS}/a")).json["spec"]["color"] == "blue-v1"


async def test_a_webhook_converts_what_the_stored_version_s_defaults_make_of_an_object(cluster: Any) -> None:
    pki = cluster.running.pki
    asked: list[dict[str, Any]] = []

    def answers(request: dict[str, Any]) -> dict[str, Any]:
        asked.extend(dict(obj["spec"]) for obj in request["objects"] if obj["apiVersion"].endswith("v1"))
        return painted(request)

    def shaded(shade: dict[str, Any]) -> dict[str, Any]:
        spec = {"type": "object", "properties": {"color": {"type": "string"}, "shade": shade}}
        return {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}

    versions = (
        version("v1", storage=True, schema=shaded({"type": "string"})),
        version("v2", schema=shaded({"type": "string"})),
    )
    async with webhook(pki, answers) as url:
        await define(cluster, definition(*versions, conversion=conversion(url, pki.ca.certificate)))
        assert (await cluster.ask("POST", WIDGETS, widget("a", color="red"))).status == 201
        shade = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/shade"
        later = [{"op": "add", "path": f"{shade}/default", "value": "dark"}]
        await cluster.ask(
            "PATCH", f"{DEFINITIONS}/widgets.example.com", later, Content_Type="application/json-patch+json"
        )
        read = await cluster.ask("GET", f"{WIDGETS.replace('/v1/', '/v2/')}/a")
        assert read.json["spec"] == {"color": "red-v2", "shade": "dark"}
    assert asked == [{"color": "red", "shade": "dark"}]


async def test_a_watch_shows_converted_objects(cluster: Any) -> None:
    pki = cluster.running.pki
    async with webhook(pki, painted) as url:
        versions = version("v1", storage=True), version("v2")
        await define(cluster, definition(*versions, conversion=conversion(url, pki.ca.certificate)))
        second = f"{cluster.running.url}{WIDGETS.replace('/v1/', '/v2/')}"
        async with asyncio.timeout(60), cluster.admin.get(f"{second}?watch=true") as watching:
            await cluster.ask("POST", WIDGETS, widget("a", color="red"))
            event = orjson.loads(await watching.content.readline())
        assert (event["type"], event["object"]["spec"]["color"]) == ("ADDED", "red-v2")


async def test_changes_in_a_row_are_shown_as_they_are_converted_whatever_other_webhooks_do(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_RETRY_SECONDS", 3600)
    pki = cluster.running.pki
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def late(request: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        await may_answer.wait()
        return painted(request)

    async with webhook(pki, late) as url, asyncio.timeout(60):
        versions = version("v1", storage=True), version("v2")
        for plural, kind in (("widgets", "Widget"), ("gadgets", "Gadget")):
            names = {"plural": plural, "kind": kind}
            crd = definition(*versions, names=names, conversion=conversion(url, pki.ca.certificate))
            await define(cluster, crd | {"metadata": {"name": f"{plural}.example.com"}})
        second = f"{cluster.running.url}{WIDGETS.replace('/v1/', '/v2/')}"
        async with (
            cluster.admin.get(f"{second}?watch=true") as widgets,
            cluster.admin.get(f"{second.replace('widgets', 'gadgets')}?watch=true") as gadgets,
        ):
            await cluster.ask("POST", WIDGETS, widget("a", color="red"))
            await asked.wait()
            asked.clear()
            await cluster.ask("POST", WIDGETS, widget("b", color="red"))
            await cluster.ask("POST", WIDGETS.replace("widgets", "gadgets"), widget("c") | {"kind": "Gadget"})
            await asked.wait()  # of the gadget, though the widget is not answered yet
            may_answer.set()
            seen = [orjson.loads(await watching.content.readline()) for watching in (widgets, widgets, gadgets)]
        assert [event["object"]["metadata"]["name"] for event in seen] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"result": {"status": "Failure", "message": "no way"}}, "failed: no way"),
        ({"result": {"status": "Success"}, "convertedObjects": []}, "returned 0 objects, expected 1"),
    ],
)
async def test_a_webhook_that_fails_is_told(cluster: Any, answer: dict[str, Any], says: str) -> None:
    pki = cluster.running.pki
    async with webhook(pki, lambda request: answer) as url:
        versions = version("v1", storage=True), version("v2")
        await define(cluster, definition(*versions, conversion=conversion(url, pki.ca.certificate)))
        await cluster.ask("POST", WIDGETS, widget("a"))
        refused = await cluster.ask("GET", f"{WIDGETS.replace('/v1/', '/v2/')}/a")
        assert refused.status == 500
        assert refused.json["message"].endswith(f"conversion webhook for example.com/v1, Kind=Widget {says}")
        assert (await cluster.ask("GET", f"{WIDGETS}/a")).status == 200
        assert orjson.loads(refused.body)["kind"] == "Status"
