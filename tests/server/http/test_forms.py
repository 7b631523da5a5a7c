"""The forms answers take over HTTP: protobuf, YAML, tables, metadata, refusals."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml

from pylet.api.wire import protobuf
from pylet.api.wire.protobuf.reading import Reader, raw_fields

MAPS = "/api/v1/namespaces/default/configmaps"
CONFIG_MAP = "io.k8s.api.core.v1.ConfigMap"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.fixture
async def made(cluster: Any) -> Any:
    body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"x": "y"}}
    sent = protobuf.dump(body, CONFIG_MAP)
    answer = await cluster.ask("POST", MAPS, sent, Content_Type=PROTOBUF, Accept=PROTOBUF)
    assert answer.status == 201
    return protobuf.load(answer.body, CONFIG_MAP)


async def test_an_object_goes_both_ways_in_protobuf(cluster: Any, made: Any) -> None:
    assert made["data"] == {"x": "y"}
    read = await cluster.ask("GET", f"{MAPS}/a", Accept=f"{PROTOBUF}, */*")
    assert read.headers["Content-Type"] == PROTOBUF
    plain = (await cluster.ask("GET", f"{MAPS}/a")).json
    assert protobuf.load(read.body, CONFIG_MAP) == plain


async def test_a_list_in_protobuf_has_all_items_and_where_it_was_read(cluster: Any, made: Any) -> None:
    for number in range(3):
        await cluster.ask("POST", MAPS, {"metadata": {"name": f"m{number}"}, "data": {"big": "x" * 90_000}})
    body = (await cluster.ask("GET", f"{MAPS}?limit=4", Accept=PROTOBUF)).body
    envelope = {number: value for number, _, value in raw_fields(memoryview(body)[4:])}
    parts = list(raw_fields(envelope[2]))
    names = [
        Reader().message(part, "core.v1.ConfigMap")["metadata"]["name"] for number, _, part in parts if number == 2
    ]
    assert names == ["a", "kube-root-ca.crt", "m0", "m1"] or names[:1] == ["a"]
    assert Reader().message(parts[0][2], "meta.v1.ListMeta")["resourceVersion"]


async def test_a_watch_in_protobuf_is_frames_after_their_lengths(cluster: Any, made: Any) -> None:
    query = "watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da&resourceVersion=0"
    watched = await cluster.ask("GET", f"{MAPS}?{query}", Accept=PROTOBUF)
    assert watched.headers["Content-Type"] == f"{PROTOBUF};stream=watch"
    size = int.from_bytes(watched.body[:4])
    event = {number: value for number, _, value in raw_fields(memoryview(watched.body)[4 : 4 + size])}
    assert bytes(event[1]) == b"ADDED"
    raw = next(value for number, _, value in raw_fields(event[2]) if number == 1)
    assert protobuf.load(bytes(raw), CONFIG_MAP)["metadata"]["name"] == "a"


async def test_metadata_alone_has_a_protobuf_form_and_tables_have_none(cluster: Any, made: Any) -> None:
    partial = f"{PROTOBUF};as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    answer = await cluster.ask("GET", f"{MAPS}/a", Accept=partial)
    assert protobuf.load(answer.body, f"{META}PartialObjectMetadata")["kind"] == "PartialObjectMetadata"
    refused = await cluster.ask("GET", MAPS, Accept=f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io")
    assert (refused.status, refused.json["reason"]) == (406, "NotAcceptable")


async def test_what_goes_wrong_is_told_in_the_form_asked_for(cluster: Any) -> None:
    missing = await cluster.ask("GET", f"{MAPS}/none", Accept=PROTOBUF)
    assert (missing.status, missing.headers["Content-Type"]) == (404, PROTOBUF)
    status = protobuf.load(missing.body, f"{META}Status")
    assert (status["reason"], status["details"]["name"]) == ("NotFound", "none")
    in_yaml = await cluster.ask("GET", f"{MAPS}/none", Accept="application/yaml")
    assert yaml.safe_load(in_yaml.body)["code"] == 404
    nothing = await cluster.ask("GET", MAPS, Accept="text/html")
    assert nothing.body.startswith(b'{\n  "kind": "Status"')


async def test_what_is_no_protobuf_is_a_bad_request(cluster: Any) -> None:
    for body in (b"", b"k8s\x00\xff\xff", b"k8s\x00\x12\x7fxx", b"not at all"):
        answer = await cluster.ask("POST", MAPS, body, Content_Type=PROTOBUF)
        assert answer.status in (400, 422), answer.body


async def test_a_list_in_yaml_is_the_list_in_json(cluster: Any, made: Any) -> None:
    own = f"{MAPS}?fieldSelector=metadata.name%3Da"
    in_yaml = yaml.safe_load((await cluster.ask("GET", own, Accept="application/yaml")).body)
    in_json = (await cluster.ask("GET", own)).json
    in_yaml["metadata"] = in_json["metadata"] = None
    assert in_yaml == in_json


async def test_a_table_of_an_unknown_inclusion_is_refused(cluster: Any) -> None:
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    for query in ("includeObject=Some", "includeObject=Some&watch=1&timeoutSeconds=1"):
        answer = await cluster.ask("GET", f"{MAPS}?{query}", Accept=accept)
        assert answer.status == 400
        assert answer.json["message"].endswith("must be 'Metadata', 'Object', 'None', or empty")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("path", [f"{MAPS}/a", MAPS, f"{MAPS}?watch=1&timeoutSeconds=1&resourceVersion=0"])
async def test_rows_carry_metadata_in_the_version_of_their_table(
    cluster: Any, made: Any, version: str, path: str
) -> None:
    accept = f"application/json;as=Table;v={version};g=meta.k8s.io"
    answer = await cluster.ask("GET", path, Accept=accept)
    told = orjson.loads(answer.body.splitlines()[0])
    table = told.get("object", told)
    assert table["apiVersion"] == f"meta.k8s.io/{version}"
    assert {row["object"]["apiVersion"] for row in table["rows"]} == {table["apiVersion"]}


async def test_flow_schemas_stand_in_the_order_they_are_tried_in(cluster: Any) -> None:
    path, accept = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", "application/json;as=Table;v=v1;g=meta.k8s.io"
    for name, precedence in (("a", 9), ("b", 7), ("c", 9)):
        spec = {"matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": "exempt"}}
        assert (await cluster.ask("POST", path, {"metadata": {"name": name}, "spec": spec})).status == 201
    rows = (await cluster.ask("GET", path, Accept=accept)).json["rows"]
    assert [row["cells"][0] for row in rows if len(row["cells"][0]) == 1] == ["b", "a", "c"]
    assert [row["cells"][2] for row in rows] == sorted(row["cells"][2] for row in rows)


async def test_what_is_only_created_has_no_table(cluster: Any) -> None:
    review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    path, table = (
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
    )
    assert (await cluster.ask("POST", path, review, Accept=table)).status == 406
    answer = await cluster.ask("POST", path, review, Accept=f"{table},application/json")
    assert (answer.status, answer.json["status"]["allowed"]) == (201, True)
