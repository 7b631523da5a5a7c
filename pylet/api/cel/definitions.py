"""What is wrong with the `x-kubernetes-validations` a CRD's schema defines, with upstream's paths and words.

Source: apiextensions-apiserver pkg/apis/apiextensions/validation/{validation,cel_validation}.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from pylet.api import causes
from pylet.api.cel import cost, fieldpath
from pylet.api.cel.cost.sizes import UNKNOWN
from pylet.api.cel.declared import Declared, declare_schema
from pylet.api.cel.names import escape
from pylet.api.cel.rules import UNDECLARED, Rule, compile_rule, has_rules
from pylet.api.errors import Cause
from pylet.api.object import Object

EXPRESSION_LIMIT = 10_000_000
TOTAL_LIMIT = 100_000_000
_RULES = "x-kubernetes-validations"
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


@dataclass(slots=True)
class _Total:
    """The estimated cost of all rules, and the four that weigh most."""

    cost: int = 0
    heaviest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: str, amount: int) -> None:
        self.cost += amount
        if amount >= TOTAL_LIMIT // 100:
            self.heaviest = sorted([*self.heaviest, (amount, path)], key=lambda one: -one[0])[:4]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the schema we are: how often it can occur (None: unbounded), and what keeps it from being correlated."""

    path: str
    times: int | None
    uncorrelatable: str
    spine: Object  # the structure the rules are about: not the schema itself within an allOf
    kind: Declared | None
    is_within: bool = False  # whether the schema around it, or one further out, has rules of its own


def problems(schema: Object, where: str) -> list[Cause]:
    """Everything wrong with the rules of one version's schema, whose place is `where`."""
    if not has_rules(schema):
        return []
    found: list[Cause] = []
    total = _Total()
    kind = declare_schema(schema, "self", root=True)
    _visit(schema, _Place(where, 1, "", schema, kind), total, found)
    if total.cost > TOTAL_LIMIT:
        says = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        found += [causes.forbidden(path, says) for _, path in total.heaviest]
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        found.append(causes.forbidden(where, _too_costly(name, total.cost, TOTAL_LIMIT)))
    return found


def _visit(schema: Object, place: _Place, total: _Total, found: list[Cause]) -> None:
    if not has_rules(schema):
        return
    for name, inner in (schema.get("properties") or {}).items():
        _visit(inner, _property(place, name), total, found)
    below = _below(place)
    for word in ("items", "additionalProperties"):
        inner = schema.get(word)
        if isinstance(inner, dict):
            _visit(inner, _inner(place, word, below), total, found)
    for at, inner in enumerate(schema.get("allOf") or ()):
        _visit(inner, replace(place, path=f"{place.path}.allOf[{at}]"), total, found)
    for at, definition in enumerate(schema.get(_RULES) or ()):
        path = f"{place.path}.{_RULES}[{at}]"
        wrong = _form(definition, path, place.spine)
        found += wrong or _meaning(definition, path, place, total)


def _property(place: _Place, name: str) -> _Place:
    spine = (place.spine.get("properties") or {}).get(name) or {}
    written = escape(name)
    kind = place.kind.fields.get(written) if place.kind is not None and written is not None else None
    times, is_within = place.times, _has_rules_around(place)
    path = f"{place.path}.properties[{name}]"
    return _Place(path, times, place.uncorrelatable, spine, kind or _alone(spine), is_within)


def _has_rules_around(place: _Place) -> bool:
    return place.is_within or bool(place.spine.get(_RULES))


def _alone(spine: Object) -> Declared | None:
    """What expressions see of what its surroundings do not declare."""
    return declare_schema(spine, "self", root=bool(spine.get("x-kubernetes-embedded-resource")))


def _below(place: _Place) -> int | None:
    """How often what is in the items of this place can occur."""
    is_list = place.spine.get("type") == "array"
    if not is_list and place.spine.get("additionalProperties") is None:
        return place.times
    limit = place.spine.get("maxItems" if is_list else "maxProperties")
    if place.times is None or limit is None:
        return None
    return place.times * max(int(limit), 0)


def _inner(place: _Place, word: str, times: int | None) -> _Place:
    found = place.spine.get(word)
    spine: Object = found if isinstance(found, dict) else {}
    is_within = _has_rules_around(place)
    kind = place.kind.item if place.kind else None
    if kind is None and not is_within:
        kind = _alone(spine)
    stuck = place.uncorrelatable
    if not stuck and word == "items" and place.spine.get("x-kubernetes-list-type") != "map":
        stuck = place.path
    return _Place(f"{place.path}.{word}", times, stuck, spine, kind, is_within)


def _form(definition: Object, path: str, schema: Object) -> list[Cause]:
    """What is wrong with a rule before it is compiled."""
    found: list[Cause] = []
    rule, message = definition.get("rule") or "", definition.get("message") or ""
    if not rule.strip():
        found.append(causes.required(f"{path}.rule", "rule is not specified"))
    elif message and not message.strip():
        found.append(causes.invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif _has_newlines(message.strip()):
        found.append(causes.invalid(f"{path}.message", message, "must not contain line breaks"))
    elif _has_newlines(rule.strip()) and not message.strip():
        found.append(causes.required(f"{path}.message", "message must be specified if rule contains line breaks"))
    expression = definition.get("messageExpression") or ""
    if expression and not expression.strip():
        says = "messageExpression must be non-empty if specified"
        found.append(causes.required(f"{path}.messageExpression", says))
    reason = definition.get("reason")
    if reason is not None and reason not in _REASONS:
        found.append(causes.not_supported(f"{path}.reason", reason, _REASONS))
    target = definition.get("fieldPath") or ""
    if target:
        if not target.strip():
            found.append(causes.invalid(f"{path}.fieldPath", target, "must be non-empty if specified"))
        if _has_newlines(target):
            found.append(causes.invalid(f"{path}.fieldPath", target, "must not contain line breaks"))
        try:
            fieldpath.normalized(target, schema)
        except ValueError:
            found.append(causes.invalid(f"{path}.fieldPath", target, "must be a valid path"))
    return found


def _has_newlines(text: str) -> bool:
    return re.search(r"[\n\r]", text) is not None


def _meaning(definition: Object, path: str, place: _Place, total: _Total) -> list[Cause]:
    """What compiling a rule and estimating its cost finds."""
    if place.kind is None and place.is_within and not place.path.endswith("]"):
        return [Cause("InternalError", f"Internal error: {UNDECLARED}", path.rpartition("[")[0])]
    if place.kind is None:
        says = "internal error: failed to construct type information for x-kubernetes-validations rules: "
        says += "unable to convert structural schema to CEL declarations"
        return [Cause("InternalError", f"Internal error: {says}", path.rpartition("[")[0])]
    rule = compile_rule(definition, place.spine, place.kind.type)
    found: list[Cause] = _costs(rule, path, place, place.kind, total)
    if rule.error:
        found.append(causes.marshalled(f"{path}.rule", _as_go(definition), rule.error))
    if rule.message_error:
        found.append(causes.marshalled(f"{path}.messageExpression", _as_go(definition), rule.message_error))
    if rule.uses_old:
        if place.uncorrelatable:
            says = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.uncorrelatable}"
            found.append(causes.invalid(f"{path}.rule", rule.text, says))
    elif definition.get("optionalOldSelf") is not None:
        says = "may not be set if oldSelf is not used in rule"
        found.append(causes.invalid(f"{path}.optionalOldSelf", definition["optionalOldSelf"], says))
    return found


def _costs(rule: Rule, path: str, place: _Place, kind: Declared, total: _Total) -> list[Cause]:
    found: list[Cause] = []
    if rule.program is not None:
        often = cost.most_often(kind) if place.times is None else place.times
        amount = min(cost.estimate(rule.program.root, kind).most * often, UNKNOWN)
        if amount > EXPRESSION_LIMIT:
            says = _too_costly("estimated rule cost", amount, EXPRESSION_LIMIT)
            found.append(causes.forbidden(f"{path}.rule", says))
        total.add(f"{path}.rule", amount)
    if rule.message is not None:
        amount = cost.estimate(rule.message.root, kind).most
        if amount > EXPRESSION_LIMIT:
            says = _too_costly("estimated messageExpression cost", amount, EXPRESSION_LIMIT)
            found.append(causes.forbidden(f"{path}.messageExpression", says))
        total.add(f"{path}.messageExpression", amount)
    return found


def _too_costly(name: str, amount: int, limit: int) -> str:
    factor = amount / limit
    if factor > 100:
        times = "more than 100x"
    elif factor < 1.5:
        times = f"{factor:.6f}x"
    else:
        times = f"{factor:.1f}x"
    return (
        f"{name} exceeds budget by factor of {times} (try simplifying the rule, or adding maxItems, maxProperties, "
        "and maxLength where arrays, maps, and strings are declared)"
    )


def _as_go(definition: Object) -> dict[str, Any]:
    """A rule as upstream's messages show it: its inner form, with every field."""
    return {
        "Rule": definition.get("rule") or "",
        "Message": definition.get("message") or "",
        "MessageExpression": definition.get("messageExpression") or "",
        "Reason": definition.get("reason"),
        "FieldPath": definition.get("fieldPath") or "",
        "OptionalOldSelf": definition.get("optionalOldSelf"),
    }
