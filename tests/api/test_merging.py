"""Documents of several servers become one, and no name means two things in it."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Object
from pylet.api.schema.merging import merge, part

GVK = "x-kubernetes-group-version-kind"


def reference(name: str) -> Object:
    return {"$ref": f"#/definitions/{name}"}


def gets(name: str, **more: Any) -> Object:
    answers = {"200": {"description": "OK", "schema": reference(name)}}
    return {"get": {"operationId": "get", "responses": answers, **more}}


def defined(document: Object, path: str) -> Object:
    """What a path answers with."""
    name = document["paths"][path]["get"]["responses"]["200"]["schema"]["$ref"].removeprefix("#/definitions/")
    found: Object = document["definitions"][name]
    return found


def test_a_part_is_what_lies_below_and_what_that_needs() -> None:
    document = {
        "paths": {"/apis/a/v1/x": gets("X"), "/apis/a/v1/known": gets("Y"), "/apis/b/v1/y": gets("Y")},
        "definitions": {
            "X": {"properties": {"z": reference("Z")}},
            "Z": {"items": reference("Z")},
            "Y": {},
            "Alone": {},
        },
    }
    found = part(document, "/apis/a/v1/", {"/apis/a/v1/known"})
    assert found["paths"].keys() == {"/apis/a/v1/x"}
    assert found["definitions"].keys() == {"X", "Z", "Alone"}


def test_a_parameter_said_once_is_said_where_it_is_meant() -> None:
    pretty = {"name": "pretty", "in": "query", "type": "string"}
    item = gets("X", parameters=[{"$ref": "#/parameters/p"}, {"SimpleSchema": {}}])
    document = {"paths": {"/a/x": item}, "definitions": {"X": {}}, "parameters": {"p": pretty}}
    assert part(document, "/a/")["paths"]["/a/x"]["get"]["parameters"] == [pretty]


def test_the_same_is_there_once_with_all_its_kinds() -> None:
    one: Object = {"paths": {"/a": gets("X")}, "definitions": {"X": {"type": "object", GVK: ["a"]}}}
    merge(one, {"paths": {"/b": gets("X")}, "definitions": {"X": {"type": "object", GVK: ["a", "b"]}}})
    assert one["definitions"] == {"X": {"type": "object", GVK: ["a", "b"]}}
    assert one["paths"].keys() == {"/a", "/b"}


def test_what_has_anothers_name_gets_one_of_its_own() -> None:
    one: Object = {"paths": {"/a": gets("X")}, "definitions": {"X": {"title": "first"}}}
    for path, title in (("/b", "second"), ("/c", "third"), ("/d", "second")):
        merge(one, {"paths": {path: gets("Y")}, "definitions": {"X": {"title": title}, "Y": {"items": reference("X")}}})
    assert one["definitions"]["X"] == {"title": "first"}
    assert [one["definitions"][defined(one, path)["items"]["$ref"][14:]]["title"] for path in ("/b", "/c", "/d")] == [
        "second",
        "third",
        "second",
    ]
    assert one["definitions"].keys() == {"X", "X_v2", "X_v3", "Y", "Y_v2", "Y_v3"}


@pytest.mark.parametrize("noise", [[], {}, {"paths": []}, {"paths": {"/a/x": gets("gone")}}, {"paths": {"/a/x": []}}])
def test_noise_is_refused(noise: Any) -> None:
    with pytest.raises((TypeError, KeyError, AttributeError)):
        part(noise, "/a/")
