"""What a schema does to a custom object: prune, default, validate."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.crd import defaulting, embedded, pruning, validation
from pylet.api.crd.structural import as_root

TEXT = {"type": "string"}


def spec(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def told(schema: Any, value: Any, **old: Any) -> list[str]:
    return [str(cause) for cause in validation.validate({"spec": value}, as_root(schema), **old)]


def must_be(path: str, wanted: str, got: str) -> str:
    return f'{path}: Invalid value: "{got}": {path} in body must be of type {wanted}: "{got}"'


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        pytest.param({"type": "integer"}, "x", [must_be("spec.a", "integer", "string")], id="a string for an integer"),
        pytest.param({"type": "integer"}, 2.0, [], id="a whole float is an integer"),
        pytest.param(
            {"type": "integer"},
            2.5,
            [
                must_be("spec.a", "integer", "number"),
                '<nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.a',
            ],
            id="half an integer",
        ),
        pytest.param({"type": "number"}, 2, [], id="an integer is a number"),
        pytest.param({"type": "number", "multipleOf": 0.5}, 2.5, [], id="a multiple of a half"),
        pytest.param(
            {"type": "number", "multipleOf": 0.5},
            2,
            ["spec.a: Invalid value: 0: factor MultipleOf declared for spec.a must be positive: 0"],
            id="an integer is no multiple of a half",
        ),
        pytest.param(
            {"type": "number", "multipleOf": 0.5},
            1e300,
            ["spec.a: Invalid value: 1e+300: spec.a in body should be a multiple of 0.5"],
            id="a multiple beyond what is exact",
        ),
        pytest.param({"type": "boolean"}, 1, [must_be("spec.a", "boolean", "integer")], id="one is not true"),
        pytest.param(TEXT, None, [must_be("spec.a", "string", "null")], id="null where it is not nullable"),
        pytest.param({**TEXT, "nullable": True}, None, [], id="null where it is"),
        pytest.param(
            {"x-kubernetes-int-or-string": True}, [], [must_be("spec.a", "integer,string", "array")], id="int or string"
        ),
        pytest.param(
            {**TEXT, "maxLength": 2}, "abc", ["spec.a: Too long: may not be more than 2 bytes"], id="too long"
        ),
        pytest.param(
            {**TEXT, "minLength": 2},
            "é",
            ['spec.a: Invalid value: "é": spec.a in body should be at least 2 chars long'],
            id="characters are counted, not bytes",
        ),
        pytest.param(
            {**TEXT, "pattern": "^[a-z]+$"},
            "a\n",
            ["spec.a: Invalid value: \"a\\n\": spec.a in body should match '^[a-z]+$'"],
            id="a pattern ends at the end",
        ),
        pytest.param(
            {**TEXT, "enum": ["x", "y"]},
            "z",
            ['spec.a: Unsupported value: "z": supported values: "x", "y"'],
            id="a word that is not listed",
        ),
        pytest.param(
            {**TEXT, "format": "date-time"}, "soon", [must_be("spec.a", "date-time", "soon")], id="no time at all"
        ),
        pytest.param({**TEXT, "format": "made-up"}, "soon", [], id="a format nobody knows"),
        pytest.param(
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            ["spec.a: Invalid value: 1: spec.a in body should be greater than 1"],
            id="an exclusive bound",
        ),
        pytest.param(
            {"type": "integer", "format": "int32"},
            1 << 31,
            ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.a'],
            id="beyond 32 bits",
        ),
        pytest.param(
            {"type": "number", "multipleOf": 0.1}, 0.3, [], id="three tenths are a multiple of a tenth all the same"
        ),
        pytest.param(
            {"type": "array", "items": TEXT, "maxItems": 1},
            ["a", "b"],
            ["spec.a: Too many: 2: must have at most 1 item"],
            id="too many items",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
            {"k": "v"},
            [
                "spec.a: Invalid value: 1: spec.a in body should have at least 2 properties",
                must_be("spec.a.k", "integer", "string"),
            ],
            id="a map's size and values",
        ),
        pytest.param(
            {"type": "object", "required": ["k"], "properties": {"k": TEXT}},
            {},
            ["spec.a.k: Required value"],
            id="a required field",
        ),
        pytest.param(
            {"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]},
            3,
            [
                '<nil>: Invalid value: "": "spec.a" must validate one and only one schema (oneOf). '
                "Found 2 valid alternatives"
            ],
            id="two of one",
        ),
        pytest.param(
            {**TEXT, "not": {"enum": ["x"]}},
            "x",
            ['<nil>: Invalid value: "": "spec.a" must not validate the schema (not)'],
            id="what it must not be",
        ),
    ],
)
def test_values_are_judged_in_upstreams_words(field: Any, value: Any, says: list[str]) -> None:
    found = told(spec(a=field), {"a": value})
    if "oneOf" in field:
        found = found[:1]
    assert found == says


def test_what_an_update_leaves_alone_is_not_blamed() -> None:
    schema = spec(a={"type": "integer", "maximum": 1}, b={"type": "integer", "maximum": 1})
    assert told(schema, {"a": 5, "b": 1}, old={"spec": {"a": 5}}) == []
    assert len(told(schema, {"a": 6, "b": 1}, old={"spec": {"a": 5}})) == 1


def test_items_of_maps_are_told_apart_by_their_keys() -> None:
    item = {"type": "object", "properties": {"k": TEXT, "n": {"type": "integer", "maximum": 1}}}
    schema = spec(
        a={"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    )
    old = {"spec": {"a": [{"k": "x", "n": 5}]}}
    assert told(schema, {"a": [{"k": "new", "n": 1}, {"k": "x", "n": 5}]}, old=old) == []


def test_items_of_maps_may_change_places() -> None:
    item = {"type": "object", "properties": {"k": TEXT, "n": {"type": "integer"}}}
    schema = spec(
        a={
            "type": "array",
            "maxItems": 1,
            "items": item,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
        }
    )
    one, two = {"k": "x", "n": 5}, {"k": "y"}
    old = {"spec": {"a": [one, two]}}
    assert told(schema, {"a": [two, one]}, old=old) == []
    assert len(told(schema, {"a": [two, {"k": "x", "n": 6}]}, old=old)) == 1
    assert len(told(schema, {"a": [two, {"k": "z", "n": 5}]}, old=old)) == 1


def test_what_the_schema_does_not_declare_counts_as_changed() -> None:
    field = {"type": "object", "required": ["b"], "x-kubernetes-preserve-unknown-fields": True}
    schema = spec(a=field)
    assert len(told(schema, {"a": {"c": 1}}, old={"spec": {"a": {"c": 1}}})) == 1
    assert told(schema, {"a": {}}, old={"spec": {"a": {}}}) == []


def test_doubled_elements_are_found() -> None:
    item = {"type": "object", "properties": {"k": TEXT}}
    schema = as_root(
        spec(
            s={"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
            m={"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
        )
    )
    obj = {"spec": {"s": ["a", "b", "a", "a"], "m": [{"k": "x"}, {"k": "x", "o": 1}]}}
    assert [str(cause) for cause in validation.list_problems(obj, schema)] == [
        'spec.s[2]: Duplicate value: "a"',
        'spec.m[1]: Duplicate value: {"k":"x"}',
    ]


def test_unknown_fields_go_and_are_named() -> None:
    schema = as_root(
        spec(
            known=TEXT,
            free={
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"in": {"type": "object"}},
            },
            list={"type": "array", "items": {"type": "object", "properties": {"k": TEXT}}},
        )
    )
    obj: Any = {
        "kind": "X",
        "metadata": {"name": "x"},
        "spec": {"known": "", "odd": 1, "free": {"a": {"b": 1}, "in": {"c": 1}}, "list": [{"k": "", "o": 1}]},
        "extra": {},
    }
    unknown: list[str] = []
    pruning.prune(obj, schema, "", unknown)
    assert sorted(unknown) == ["extra", "spec.free.in.c", "spec.list[0].o", "spec.odd"]
    assert obj["spec"] == {"known": "", "free": {"a": {"b": 1}, "in": {}}, "list": [{"k": ""}]}
    assert obj["metadata"] == {"name": "x"}


def test_defaults_fill_what_is_missing_or_null() -> None:
    inner = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}, "default": {}}
    schema = as_root(spec(inner=inner, text={**TEXT, "default": "x"}, maybe={**TEXT, "nullable": True, "default": "y"}))
    obj: Any = {"spec": {"text": None, "maybe": None}}
    assert defaulting.default(obj, schema)
    assert obj == {"spec": {"inner": {"n": 1}, "text": "x", "maybe": None}}
    assert not defaulting.default(obj, schema)


def test_nulls_that_nothing_allows_go() -> None:
    obj: Any = {"spec": {"a": None, "b": None, "unknown": None}}
    pruning.prune_nulls(obj, as_root(spec(a=TEXT, b={**TEXT, "default": "x"})))
    assert obj == {"spec": {"b": None, "unknown": None}}


def test_embedded_objects_have_to_be_objects() -> None:
    schema = as_root(spec(a={"type": "object", "x-kubernetes-embedded-resource": True}))
    obj: Any = {"spec": {"a": {"kind": "X_", "metadata": {"labels": {"a b": "c"}}}}}
    assert [cause.field for cause in embedded.problems(obj, schema)] == [
        "spec.a.apiVersion",
        "spec.a.kind",
        "spec.a.metadata.labels",
    ]
