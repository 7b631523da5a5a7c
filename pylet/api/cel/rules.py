"""A CRD's `x-kubernetes-validations`, compiled, and what they say of an object.

Source: apiextensions-apiserver pkg/apiserver/schema/cel/{compilation,validation}.go. What upstream ratchets away comes
back as nothing here; it makes a warning of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pylet.api import causes
from pylet.api.cel import types as t
from pylet.api.cel.checker import Scope
from pylet.api.cel.declared import Convert, Declared, converter, declare_schema, with_metadata
from pylet.api.cel.errors import CompileError, CostExceeded, EvaluationError
from pylet.api.cel.fieldpath import normalized
from pylet.api.cel.library import declared
from pylet.api.cel.names import escape
from pylet.api.cel.program import Budget, OutOfBudget, Program
from pylet.api.cel.values import NONE, Optional
from pylet.api.errors import Cause
from pylet.api.object import Object

MAX_MESSAGE_BYTES = 5 * 1024
_RULES = "x-kubernetes-validations"
UNDECLARED = "failed to convert to declType for CEL validation rules"
_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class Stop(Exception):
    """No further rule runs: the budget is spent, or one rule alone cost too much."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule; `error` is why it, `message_error` why its messageExpression did not compile."""

    text: str
    definition: Object
    program: Program | None
    error: str
    message: Program | None
    message_error: str
    field: str

    @property
    def optional_old(self) -> bool:
        return bool(self.definition.get("optionalOldSelf"))

    @property
    def uses_old(self) -> bool:
        return self.program is not None and "oldSelf" in self.program.uses

    def shown(self) -> str:
        return str(self.definition.get("message") or "").strip() or self.text.strip()

    def default_message(self) -> str:
        message = str(self.definition.get("message") or "").strip()
        return message or f"failed rule: {self.text.strip()}"


def compile_rule(definition: Object, schema: Object, kind: t.Type) -> Rule:
    """A rule over values of the type `kind`, which `schema` describes."""
    text = definition.get("rule") or ""
    program, error = _compile(text, kind, definition, t.BOOL, "", "cel expression must evaluate to a bool")
    message, message_error = None, ""
    expression = definition.get("messageExpression") or ""
    if program is not None and expression:
        unfit = "messageExpression must evaluate to a string"
        message, message_error = _compile(expression, kind, definition, t.STRING, "messageExpression ", unfit)
    field = ""
    if definition.get("fieldPath"):
        try:
            field = normalized(definition["fieldPath"], schema)
        except ValueError:
            field = ""
    return Rule(text, definition, program, error, message, message_error, field)


def _compile(
    text: str, kind: t.Type, definition: Object, wanted: t.Type, prefix: str, unfit: str
) -> tuple[Program | None, str]:
    if not text.strip():
        return None, ""
    old = t.optional_of(kind) if definition.get("optionalOldSelf") else kind
    try:
        program = Program(text, Scope({"self": kind, "oldSelf": old}, declared()))
    except CompileError as bad:
        return None, f"{prefix}compilation failed: {bad}"
    except EvaluationError as bad:
        return None, f"{prefix or 'program '}instantiation failed: {bad}"
    return (program, "") if program.type == wanted else (None, unfit)


@dataclass(slots=True, eq=False)
class _Node:
    """The rules of one place in the schema, and the places below it that have some."""

    type: str
    error: str
    rules: list[Rule]
    convert: Convert | None
    properties: dict[str, _Node]
    items: _Node | None
    additional: _Node | None
    all_of: list[_Node]
    map_keys: tuple[str, ...]


class _Correlated:
    """A value and the one it was: lists of type map are matched by key, other lists not at all."""

    __slots__ = ("_same", "new", "old")

    def __init__(self, new: Any, old: Any, *, same: bool | None = None) -> None:
        self.new, self.old, self._same = new, old, same

    def is_unchanged(self) -> bool:
        if self._same is None:
            self._same = bool(self.new == self.old)
        return self._same


@dataclass(frozen=True, slots=True)
class _Ratchet:
    """Which old value a place is compared with; where there is none, its nearest parent's."""

    here: _Correlated | None = None
    parent: _Correlated | None = None

    def forgives(self) -> bool:
        nearest = self.here or self.parent
        return nearest is not None and nearest.is_unchanged()

    def key(self, name: str, new: Any) -> _Ratchet:
        if self.here is None:
            return self
        if self.parent is None and name in ("apiVersion", "kind"):
            return _Ratchet()
        old = self.here.old
        known = isinstance(old, dict) and name in old
        return _Ratchet(_Correlated(new, old[name]) if known else None, self.here)

    def index(self, new: Any, old: Any) -> _Ratchet:
        if self.here is None:
            return self
        return _Ratchet(_Correlated(new, old) if old is not None else None, self.here)


class Rules:
    """All rules of one schema."""

    __slots__ = ("_root",)

    def __init__(self, root: _Node) -> None:
        self._root = root

    def validate(self, new: Any, old: Any, path: str, budget: Budget | None = None) -> list[Cause]:
        """What the rules find wrong with `new`, whose place is `path`; `old` is None when it is created."""
        walk = _Walk(budget or Budget())
        whole = None if old is None else _Correlated(new, old, same=False)  # schemas do not declare its metadata
        with suppress(Stop):
            walk.visit(self._root, new, old, path, _Ratchet(whole))
        return walk.found


def compile_rules(schema: Object, *, root: bool = True) -> Rules | None:
    """The rules anywhere in `schema`, or None; `root` is whether it describes a whole resource."""
    node = _node(schema, schema, declare_schema(schema, "self", root=root), root=root)
    return Rules(node) if node else None


def has_rules(schema: Any) -> bool:
    if isinstance(schema, dict):
        return bool(schema.get(_RULES)) or any(map(has_rules, schema.values()))
    return isinstance(schema, list) and any(map(has_rules, schema))


def _node(rules: Object, schema: Object, kind: Declared | None, *, root: bool) -> _Node | None:
    """`rules` is where rules are written, `schema` the structure they are about: they differ within an allOf."""
    if not has_rules(rules):
        return None
    definitions = rules.get(_RULES) or []
    own: list[Rule] = []
    if kind is not None:
        own = [compile_rule(definition, schema, kind.type) for definition in definitions]
    properties: dict[str, _Node] = {}
    for name, inner in (rules.get("properties") or {}).items():
        known = (schema.get("properties") or {}).get(name)
        if known is None or kind is None:
            continue
        embedded = bool(known.get("x-kubernetes-embedded-resource"))
        written = escape(name)
        below = declare_schema(known, "self", root=embedded) if written is None else kind.fields.get(written)
        if below is not None and (child := _node(inner, known, below, root=embedded)):
            properties[name] = child
    node = _Node(
        schema.get("type") or "",
        UNDECLARED if definitions and kind is None else "",
        own,
        converter(with_metadata(schema) if root else schema),
        properties,
        _below(rules, schema, "items", kind),
        _below(rules, schema, "additionalProperties", kind),
        [child for one in rules.get("allOf") or () if (child := _node(one, schema, kind, root=root))],
        tuple(schema.get("x-kubernetes-list-map-keys") or ()) if schema.get("x-kubernetes-list-type") == "map" else (),
    )
    says = node.error, node.rules, node.properties, node.items, node.additional, node.all_of
    return node if any(says) else None


def _below(rules: Object, schema: Object, word: str, kind: Declared | None) -> _Node | None:
    inner, known = rules.get(word), schema.get(word)
    if not isinstance(inner, dict) or not isinstance(known, dict):
        return None
    embedded = bool(known.get("x-kubernetes-embedded-resource"))
    return _node(inner, known, kind.item if kind else None, root=embedded)


class _Walk:
    """One object's way through the rules: what they found, and what they may still cost."""

    __slots__ = ("_budget", "found")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.found: list[Cause] = []

    def visit(self, node: _Node, new: Any, old: Any, path: str, ratchet: _Ratchet) -> None:
        """Raises: Stop."""
        if new is None:
            return
        if node.error:
            why = f"rule compiler initialization error: {node.error}"
            self.found.append(causes.invalid(path or "<nil>", node.type, why))
        if node.rules:
            self._judge(node, new, old, path, ratchet)
        for one in node.all_of:
            self.visit(one, new, old, path, _Ratchet(None, ratchet.parent))
        if isinstance(new, list) and node.items is not None:
            before = _by_keys(node.map_keys, old)
            for at, item in enumerate(new):
                was = before.get(_key_of(node.map_keys, item)) if before else None
                self.visit(node.items, item, was, f"{path}[{at}]", ratchet.index(item, was))
        elif isinstance(new, dict):
            was_map = old if isinstance(old, dict) else {}
            for name, value in new.items():
                if node.additional is not None:
                    below, place = node.additional, f"{path}[{name}]"
                elif name in node.properties:
                    below, place = node.properties[name], f"{path}.{name}" if path else name
                else:
                    continue
                self.visit(below, value, was_map.get(name), place, ratchet.key(name, value))

    def _judge(self, node: _Node, new: Any, old: Any, path: str, ratchet: _Ratchet) -> None:
        where = path or "<nil>"
        if self._budget.remaining <= 0:
            self.found.append(causes.invalid(where, node.type, _OUT_OF_BUDGET))
            raise Stop
        convert = node.convert
        value = convert(new) if convert else new
        bindings: dict[str, Any] = {"self": value}
        optional: dict[str, Any] = {"self": value, "oldSelf": NONE}
        if old is not None and any(rule.uses_old for rule in node.rules):
            was = convert(old) if convert else old
            bindings["oldSelf"], optional["oldSelf"] = was, Optional(was)
        for rule in node.rules:
            if rule.error:
                self.found.append(causes.invalid(where, node.type, f"rule compile error: {rule.error}"))
                continue
            if rule.program is None or (rule.uses_old and old is None and not rule.optional_old):
                continue
            scope = optional if rule.optional_old else bindings
            if self._holds(rule, rule.program, scope, where, node.type):
                continue
            failed = _failure(rule, bindings, new, path, node.type, self._budget)
            if rule.uses_old or not ratchet.forgives():
                self.found.append(failed.cause)
            if failed.last:
                raise Stop

    def _holds(self, rule: Rule, program: Program, scope: Mapping[str, Any], where: str, kind: str) -> bool:
        """False only when the rule was answered, and with no; whatever else goes wrong is told here."""
        try:
            return program.evaluate(scope, self._budget) is True
        except OutOfBudget:
            self.found.append(causes.invalid(where, kind, _OUT_OF_BUDGET))
            raise Stop from None
        except CostExceeded as costly:
            detail = f"'{costly}': no further validation rules will be run due to call cost exceeds limit for rule: "
            self.found.append(causes.invalid(where, kind, detail + rule.shown()))
            raise Stop from None
        except EvaluationError as bad:
            if str(bad).startswith("no such overload"):
                unfit = "call arguments did not match a supported operator, function or macro signature for rule"
                self.found.append(causes.invalid(where, kind, f"'{bad}': {unfit}: {rule.shown()}"))
            else:
                self.found.append(causes.invalid(where, kind, f"{bad} evaluating rule: {rule.shown()}"))
        return True


def _key_of(keys: tuple[str, ...], item: Any) -> tuple[str, ...]:
    return tuple(repr(item.get(key)) for key in keys) if isinstance(item, dict) else ()


def _by_keys(keys: tuple[str, ...], items: Any) -> dict[tuple[str, ...], Any]:
    if not keys or not isinstance(items, list):
        return {}
    return {_key_of(keys, item): item for item in reversed(items)}


@dataclass(frozen=True, slots=True)
class _Failure:
    """What to tell; `last` when telling it took the budget."""

    cause: Cause
    last: bool = False


def _failure(rule: Rule, bindings: Mapping[str, Any], value: Any, path: str, kind: str, budget: Budget) -> _Failure:
    where = ".".join(part for part in (path, rule.field) if part) or "<nil>"
    detail = ""
    if rule.message is not None:
        expression = causes.quoted(rule.message.source)
        try:
            detail = _message(rule.message.evaluate(bindings, budget))
        except OutOfBudget:
            says = "messageExpression evaluation failed due to running out of cost budget"
            return _Failure(causes.invalid(where, kind, f"{says}, no further validation rules will be run"), last=True)
        except CostExceeded:
            says = "no further validation rules will be run due to call cost exceeds limit for messageExpression"
            return _Failure(causes.invalid(where, kind, f"{says}: {expression}"), last=True)
        except EvaluationError:
            detail = ""
    detail = detail or rule.default_message()
    match rule.definition.get("reason"):
        case "FieldValueForbidden":
            return _Failure(causes.forbidden(where, detail))
        case "FieldValueRequired":
            return _Failure(causes.required(where, detail))
        case "FieldValueDuplicate":
            if kind in ("object", "array"):
                return _Failure(Cause("FieldValueDuplicate", "Duplicate value", where))
            return _Failure(causes.duplicate(where, value))
    if kind in ("object", "array"):
        return _Failure(causes.invalid_omitted(where, detail))
    return _Failure(causes.invalid(where, value, detail))


def _message(value: Any) -> str:
    """The evaluated message, or nothing when it cannot be shown."""
    text = value.strip() if type(value) is str else ""
    return "" if len(text.encode()) > MAX_MESSAGE_BYTES or "\n" in text else text
