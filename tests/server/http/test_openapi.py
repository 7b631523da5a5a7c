"""OpenAPI over HTTP: the index, documents by hash, what they say, and gnostic's form."""

from __future__ import annotations

from typing import Any

from pylet.api.schema.published_enums import enums
from pylet.api.wire.protobuf.reading import raw_fields
from tests.server.crd.test_custom_resources import DEFINITIONS, define, definition, version
from tests.waiting import answered

GNOSTIC = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


async def test_the_index_leads_to_documents_that_may_be_kept(cluster: Any) -> None:
    index = (await cluster.ask("GET", "/openapi/v3")).json["paths"]
    assert {"api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "version"} <= index.keys()
    url = index["apis/apps/v1"]["serverRelativeURL"]
    document = await cluster.ask("GET", url)
    assert document.headers["Cache-Control"] == "public, immutable"
    tag = document.headers["ETag"]
    again = await cluster.ask("GET", "/openapi/v3/apis/apps/v1", If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
    assert url.endswith(tag.strip('"'))


async def test_every_reference_of_a_document_leads_somewhere(cluster: Any) -> None:
    for path, prefix in (("/openapi/v3/api/v1", "#/components/schemas/"), ("/openapi/v2", "#/definitions/")):
        document = (await cluster.ask("GET", path)).json
        schemas = document["components"]["schemas"] if "components" in document else document["definitions"]
        references = set(_references(document))
        assert references
        assert {name.removeprefix(prefix) for name in references} <= schemas.keys()


async def test_operations_are_named_and_marked_as_clients_know_them(cluster: Any) -> None:
    paths = (await cluster.ask("GET", "/openapi/v2")).json["paths"]
    one = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    assert paths[one]["patch"]["operationId"] == "patchAppsV1NamespacedDeployment"
    assert paths[f"{one}/scale"]["put"]["x-kubernetes-group-version-kind"]["kind"] == "Scale"
    assert paths["/api/v1/pods"]["get"]["operationId"] == "listCoreV1PodForAllNamespaces"
    assert paths["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["post"]["x-kubernetes-action"] == "connect"
    review = paths["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"]["post"]
    assert review["operationId"] == "createAuthorizationV1SelfSubjectAccessReview"
    validated = [p["name"] for p in paths[one]["patch"]["parameters"]]
    assert {"body", "dryRun", "fieldValidation", "force"} <= set(validated)


async def test_fields_that_take_certain_values_alone_name_them(cluster: Any) -> None:
    definitions = (await cluster.ask("GET", "/openapi/v2")).json["definitions"]
    core = (await cluster.ask("GET", "/openapi/v3/api/v1")).json["components"]["schemas"]
    for schemas in (definitions, core):
        pod, claim = (
            schemas[f"io.k8s.api.core.v1.{name}"]["properties"] for name in ("PodSpec", "PersistentVolumeClaimSpec")
        )
        assert pod["restartPolicy"]["enum"] == ["Always", "Never", "OnFailure"]
        assert pod["restartPolicy"]["description"].endswith(
            '\n\nPossible enum values:\n - `"Always"`\n - `"Never"`\n - `"OnFailure"`'
        )
        assert "ReadWriteOncePod" in claim["accessModes"]["items"]["enum"]
    known = {
        f"{name.rpartition('.')[2]}.{field}" for name, one in definitions.items() for field in one.get("properties", ())
    }
    assert {f"{owner}.{field}" for owner, fields in enums().items() for field in fields} <= known


async def test_gnostic_tells_the_same_definitions(cluster: Any) -> None:
    answer = await cluster.ask("GET", "/openapi/v2", Accept=GNOSTIC)
    assert "@" not in answer.headers["Content-Type"]
    definitions = next(value for number, _, value in raw_fields(memoryview(answer.body)) if number == 9)
    names = set()
    for _, _, named in raw_fields(definitions):
        names.add(next(str(value, "utf-8") for number, _, value in raw_fields(named) if number == 1))
    assert names == (await cluster.ask("GET", "/openapi/v2")).json["definitions"].keys()


async def test_what_is_not_served_is_not_found(cluster: Any) -> None:
    assert (await cluster.ask("GET", "/openapi/v3/apis/none/v1")).status == 404
    for path in ("v2/", "v3/", "v3/apis/apps/v1/", "v4", ""):
        assert (await cluster.ask("GET", f"/openapi/{path}")).status == 404
    assert (await cluster.ask("GET", "/openapi/v2", Accept="text/html")).status == 406


async def test_a_custom_group_has_documents_of_its_versions_alone(cluster: Any) -> None:
    await define(cluster, definition(version("v1", storage=True)))
    index = await answered(
        lambda: cluster.ask("GET", "/openapi/v3"), lambda answer: b"apis/example.com/v1" in answer.body
    )
    assert "apis/example.com" not in index.json["paths"]
    assert (await cluster.ask("GET", "/openapi/v3/apis/example.com")).status == 404
    document = (await cluster.ask("GET", "/openapi/v3/apis/example.com/v1")).json
    assert "/apis/example.com/v1/" not in document["paths"]
    assert "/apis/example.com/v1/widgets" in document["paths"]
    assert document["info"]["version"] == "1.36"


async def test_what_custom_objects_may_be_selected_by_is_told_and_followed(cluster: Any) -> None:
    crd = definition(version("v1", storage=True, selectableFields=[{"jsonPath": ".spec.color"}]))
    await define(cluster, crd)
    root = "apis/example.com/v1"
    before = (await cluster.ask("GET", "/openapi/v3")).json["paths"][root]["serverRelativeURL"]
    schemas = (await cluster.ask("GET", before)).json["components"]["schemas"]
    definitions = (await cluster.ask("GET", "/openapi/v2")).json["definitions"]
    for name in ("com.example.v1.Widget", "com.example.v1.WidgetList"):
        for told in (schemas, definitions):
            assert told[name]["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.color"}]
    less = [{"op": "remove", "path": "/spec/versions/0/selectableFields"}]
    path = f"{DEFINITIONS}/widgets.example.com"
    await cluster.ask("PATCH", path, less, Content_Type="application/json-patch+json")
    after = (await cluster.ask("GET", "/openapi/v3")).json["paths"][root]["serverRelativeURL"]
    assert after != before
    assert "x-kubernetes-selectable-fields" not in (await cluster.ask("GET", after)).body.decode()


def _references(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


async def test_what_the_server_itself_measures_has_a_document(cluster: Any) -> None:
    url = (await cluster.ask("GET", "/openapi/v3")).json["paths"]["apis/metrics.k8s.io/v1beta1"]["serverRelativeURL"]
    document = (await cluster.ask("GET", url)).json
    one = document["paths"]["/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{name}"]
    assert [verb for verb in one if verb != "parameters"] == ["get"]
    schema = document["components"]["schemas"]["io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics"]
    assert {"containers", "timestamp", "window"} < schema["properties"].keys()
