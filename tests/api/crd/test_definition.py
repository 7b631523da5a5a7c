"""What definitions are refused for."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.crd import definition, names, schema_rules
from pylet.api.timestamps import parse

NOW = parse("2026-01-02T03:04:05Z")


def crd(**changes: Any) -> dict[str, Any]:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [version],
        "conversion": {"strategy": "None"},
    }
    stored = {"storedVersions": ["v1"]}
    return {"metadata": {"name": "widgets.example.com"}, "spec": {**spec, **changes}, "status": stored}


def test_a_plain_definition_is_fine() -> None:
    assert definition.validate(crd()) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"group": "flat"}, "spec.group", id="a group without a dot"),
        pytest.param({"scope": "Galaxy"}, "spec.scope", id="a scope nobody knows"),
        pytest.param({"preserveUnknownFields": True}, "spec.preserveUnknownFields", id="the old way to keep fields"),
        pytest.param({"conversion": {"strategy": "Webhook"}}, "spec.conversion.webhookClientConfig", id="no webhook"),
        pytest.param(
            {"versions": [{"name": "v1", "served": True, "storage": True}]},
            "spec.versions[0].schema.openAPIV3Schema",
            id="no schema",
        ),
    ],
)
def test_a_definition_is_refused_for(changes: dict[str, Any], field: str) -> None:
    assert field in [cause.field for cause in definition.validate(crd(**changes))]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        pytest.param({}, "x.type: Required value: must not be empty at the root", id="no type at the root"),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "array"}}},
            "x.properties[a].items: Required value: must be specified",
            id="a list of nobody knows what",
        ),
        pytest.param(
            {"type": "object", "oneOf": [{"properties": {"a": {"minLength": 1}}}]},
            "x.properties[a]: Required value: because it is defined in x.oneOf[0].properties[a]",
            id="validated, but not specified",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "string", "allOf": [{"nullable": True}]}}},
            "x.properties[a].allOf[0].nullable: Forbidden: must be false to be structural",
            id="structure among validations",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}},
            'x.properties[a].default: Invalid value: "string":  in body must be of type integer: "string"',
            id="a default that is not valid itself",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
            },
            "x.properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
            "but metadata is implicitly specified",
            id="rules for metadata",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
            "x.properties[a].pattern: Invalid value",
            id="a broken pattern",
        ),
    ],
)
def test_a_schema_is_refused_for(schema: Any, says: str) -> None:
    found = [str(cause) for cause in schema_rules.validate(schema, "x", has_status=False)]
    assert any(cause.startswith(says) for cause in found), found


def test_names_go_to_who_comes_first() -> None:
    first = crd()
    first["status"] = names.status_of(first, [], NOW)
    assert [(c["type"], c["status"]) for c in first["status"]["conditions"]] == [
        ("NamesAccepted", "True"),
        ("Established", "True"),
    ]
    second = crd(names={**first["spec"]["names"], "plural": "gadgets"})
    status = names.status_of(second, [first["status"]["acceptedNames"]], NOW)
    assert status["acceptedNames"] == {"kind": "", "plural": "gadgets"}
    assert [(c["status"], c["reason"]) for c in status["conditions"]] == [
        ("False", "ListKindConflict"),
        ("False", "NotAccepted"),
    ]


def test_names_that_hold_stay() -> None:
    held = crd()
    held["status"] |= names.status_of(held, [], NOW)
    assert names.status_of(held, [], NOW) == held["status"]


def test_a_protected_group_needs_approval() -> None:
    guarded = crd(group="widgets.k8s.io")
    guarded["metadata"]["name"] = "widgets.widgets.k8s.io"
    assert [cause.reason for cause in definition.validate(guarded)] == ["FieldValueRequired"]
    guarded["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com/1"}
    assert definition.validate(guarded) == []
