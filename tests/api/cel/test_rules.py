"""`x-kubernetes-validations`: what rules say of objects, and what is wrong with rules."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.cel import definitions
from pylet.api.cel.program import Budget
from pylet.api.cel.rules import Rules, compile_rules


def rules(properties: dict[str, Any], *own: dict[str, Any]) -> Rules:
    """The rules `own` over a `spec` of these properties."""
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": list(own)}
    compiled = compile_rules({"type": "object", "properties": {"spec": spec}})
    assert compiled is not None
    return compiled


def found(compiled: Rules, spec: Any, old: Any = None, budget: Budget | None = None) -> list[str]:
    before = None if old is None else {"spec": old}
    return [f"{cause.field}: {cause.message}" for cause in compiled.validate({"spec": spec}, before, "", budget)]


NUMBERS = {"min": {"type": "integer"}, "max": {"type": "integer"}}


def test_a_rule_that_holds_says_nothing() -> None:
    assert found(rules(NUMBERS, {"rule": "self.min <= self.max"}), {"min": 1, "max": 2}) == []


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({}, "spec: Invalid value: failed rule: self.min <= self.max"),
        ({"message": " min over max "}, "spec: Invalid value: min over max"),
        ({"messageExpression": "'min ' + string(self.min)"}, "spec: Invalid value: min 2"),
        ({"messageExpression": "'a\\nb'", "message": "plain"}, "spec: Invalid value: plain"),
        (
            {"reason": "FieldValueForbidden", "fieldPath": ".min"},
            "spec.min: Forbidden: failed rule: self.min <= self.max",
        ),
        ({"reason": "FieldValueRequired", "message": "m"}, "spec: Required value: m"),
        ({"reason": "FieldValueDuplicate"}, "spec: Duplicate value"),
    ],
    ids=["no message", "message", "expression", "bad expression", "forbidden", "required", "duplicate"],
)
def test_how_a_broken_rule_is_told(rule: dict[str, str], says: str) -> None:
    assert found(rules(NUMBERS, {"rule": "self.min <= self.max", **rule}), {"min": 2, "max": 1}) == [says]


def test_a_scalar_is_shown() -> None:
    compiled = rules({"name": {"type": "string", "x-kubernetes-validations": [{"rule": "self.size() < 3"}]}})
    assert found(compiled, {"name": "abc"}) == ['spec.name: Invalid value: "abc": failed rule: self.size() < 3']


def test_a_failing_rule_is_told_with_its_error() -> None:
    says = 'spec: Invalid value: "object": no such key: max evaluating rule: self.min <= self.max'
    assert found(rules(NUMBERS, {"rule": "self.min <= self.max"}), {"min": 2}) == [says]


def test_transition_rules_need_an_old_value() -> None:
    compiled = rules(NUMBERS, {"rule": "self.min >= oldSelf.min"})
    assert found(compiled, {"min": 1}) == []
    assert found(compiled, {"min": 1}, {"min": 1}) == []
    assert found(compiled, {"min": 1}, {"min": 2}) == ["spec: Invalid value: failed rule: self.min >= oldSelf.min"]


def test_optional_old_self_also_runs_on_create() -> None:
    compiled = rules(NUMBERS, {"rule": "oldSelf.hasValue() || self.min == 0", "optionalOldSelf": True})
    assert found(compiled, {"min": 1}) == ["spec: Invalid value: failed rule: oldSelf.hasValue() || self.min == 0"]
    assert found(compiled, {"min": 1}, {"min": 5}) == []


def test_what_did_not_change_is_forgiven() -> None:
    compiled = rules(NUMBERS, {"rule": "self.min <= self.max"})
    assert found(compiled, {"min": 2, "max": 1}, {"min": 2, "max": 1}) == []
    assert found(compiled, {"min": 3, "max": 1}, {"min": 2, "max": 1}) != []


def test_items_of_map_lists_meet_their_old_selves_by_key() -> None:
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.size >= oldSelf.size"}],
    }
    ports = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    compiled = rules({"ports": ports})
    old = {"ports": [{"name": "a", "size": 3}, {"name": "b", "size": 1}]}
    new = {"ports": [{"name": "b", "size": 2}, {"name": "a", "size": 2}, {"name": "c", "size": 0}]}
    assert found(compiled, new, old) == ["spec.ports[1]: Invalid value: failed rule: self.size >= oldSelf.size"]


def test_lists_that_are_sets_are_equal_in_any_order() -> None:
    tags = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
    assert (
        found(
            rules({"tags": tags}, {"rule": "self.tags == ['b', 'a'] && self.tags + ['a'] == ['a', 'b']"}),
            {"tags": ["a", "b"]},
        )
        == []
    )


def test_formats_become_values() -> None:
    properties = {
        "at": {"type": "string", "format": "date-time"},
        "for": {"type": "string", "format": "duration"},
        "raw": {"type": "string", "format": "byte"},
        "ratio": {"type": "number"},
        "port": {"x-kubernetes-int-or-string": True},
        "a-b": {"type": "string"},
    }
    rule = (
        "self.at < timestamp('2021-01-01T00:00:00Z') && self.__for__ > duration('1m') && self.raw == b'10'"
        " && self.ratio == 1.0 && type(self.port) == int && self.a__dash__b == 'c'"
    )
    spec = {"at": "2020-01-01T00:00:00Z", "for": "1h", "raw": "MTA=", "ratio": 1, "port": 80, "a-b": "c"}
    assert found(rules(properties, {"rule": rule}), spec) == []


def test_a_null_field_is_absent() -> None:
    name = {"type": "string", "nullable": True}
    assert found(rules({"name": name}, {"rule": "!has(self.name)"}), {"name": None}) == []


def test_the_budget_ends_the_rules() -> None:
    compiled = rules(NUMBERS, {"rule": "self.min <= self.max"}, {"rule": "self.min > 0"})
    says = 'spec: Invalid value: "object": validation failed due to running out of cost budget, '
    assert found(compiled, {"min": 1, "max": 2}, None, Budget(3)) == [f"{says}no further validation rules will be run"]


def problems(schema: dict[str, Any]) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in definitions.problems(schema, "s")]


def defined(*own: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "x-kubernetes-validations": list(own)}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (defined({"rule": " "}), "s.x-kubernetes-validations[0].rule: Required value: rule is not specified"),
        (defined({"rule": "self.x == 1"}), "undefined field 'x'"),
        (defined({"rule": "1"}), "cel expression must evaluate to a bool"),
        (defined({"rule": "true", "messageExpression": "1"}), "messageExpression must evaluate to a string"),
        (defined({"rule": "true", "reason": "No"}), 's.x-kubernetes-validations[0].reason: Unsupported value: "No"'),
        (defined({"rule": "true", "fieldPath": ".nope"}), '.fieldPath: Invalid value: ".nope": must be a valid path'),
        (defined({"rule": "true", "optionalOldSelf": True}), "may not be set if oldSelf is not used in rule"),
        (
            defined({"rule": "self.l.all(a, self.l.all(b, a == b))"}, l={"type": "array", "items": {"type": "string"}}),
            "rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x",
        ),
        (
            defined(
                l={
                    "type": "array",
                    "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]},
                }
            ),
            "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[l]",
        ),
    ],
    ids=["empty", "undefined", "type", "message type", "reason", "path", "optional", "cost", "uncorrelatable"],
)
def test_what_is_wrong_with_a_definition(schema: dict[str, Any], says: str) -> None:
    assert any(says in problem for problem in problems(schema))


def test_bounded_schemas_are_cheap_enough() -> None:
    bounded = {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 10}}
    assert problems(defined({"rule": "self.l.all(a, self.l.all(b, a == b))"}, l=bounded)) == []


MORE = {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 5"}]}


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param({"type": "object", "items": MORE}, id="items of an object"),
        pytest.param({"type": "string", "items": MORE}, id="items of a text"),
        pytest.param({"type": "string", "additionalProperties": MORE}, id="keys of a text"),
        pytest.param({"type": "array", "items": {"type": "string"}, "properties": {"q": MORE}}, id="fields of a list"),
    ],
)
def test_rules_where_no_value_can_be_are_judged_by_themselves(holder: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"b": holder}}
    assert problems(schema) == []


def test_what_is_wrong_with_them_is_told() -> None:
    wrong = {"type": "integer", "x-kubernetes-validations": [{"rule": "self.x"}]}
    (says,) = problems({"type": "object", "properties": {"b": {"type": "object", "items": wrong}}})
    assert "compilation failed" in says


def test_rules_around_them_leave_them_without_a_type() -> None:
    schema = defined(b={"type": "object", "items": MORE, "x-kubernetes-validations": [{"rule": "true"}]})
    says = "Internal error: failed to convert to declType for CEL validation rules"
    assert problems(schema) == [f"s.properties[b].items.x-kubernetes-validations: {says}"]


def test_they_fail_on_what_was_there_before() -> None:
    compiled = compile_rules({"type": "object", "properties": {"b": {"type": "object", "items": MORE}}})
    assert compiled is not None
    (cause,) = compiled.validate({"b": [8]}, {"b": [8]}, "")
    says = "rule compiler initialization error: failed to convert to declType for CEL validation rules"
    assert (cause.field, cause.message) == ("b[0]", f'Invalid value: "integer": {says}')
