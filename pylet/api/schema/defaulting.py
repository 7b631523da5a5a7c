"""Fills objects with what Go would: the fields it prints in any case, default values, default rules.

Each definition has a plan, made on first use; parts of an object whose definitions default nothing are not visited.
"""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object
from pylet.api.schema.compiled import of
from pylet.api.schema.default_rules import RULES, Rule
from pylet.api.schema.default_values import VALUES
from pylet.api.schema.node import List, Map, Node, Ref, Struct

_NOTHING: Object = {}


class Plan:
    """What to fill in objects of one definition; `children` name the fields to go on with, and their plans."""

    __slots__ = ("children", "objects", "rule", "values")

    def __init__(self, struct: Struct) -> None:
        short = struct.name.removeprefix("io.k8s.api.")
        always = dict(struct.always)
        self.objects = tuple(field for field, zero in always.items() if zero == {})
        self.values: tuple[tuple[str, Any], ...] = tuple(
            {**{field: zero for field, zero in always.items() if zero != {}}, **VALUES.get(short, {})}.items()
        )
        self.rule: Rule | None = RULES.get(short)
        self.children: tuple[tuple[str, type[Node], Plan], ...] = ()

    def apply(self, obj: Object, known: Object = _NOTHING) -> None:
        for name in self.objects:
            if name not in obj:
                obj[name] = {}
        for name, value in self.values:
            if name not in obj:
                obj[name] = value
        if self.rule is not None:
            self.rule(obj)
        for name, shape, plan in self.children:
            value = obj.get(name)
            if (not value and value != {}) or (known and known.get(name) == value):
                continue
            if shape is Ref:
                plan.apply(value)
            else:
                for item in value if shape is List else value.values():
                    plan.apply(item)


_plans: dict[str, Plan] = {}


def plan_of(name: str) -> Plan:
    """The plan for a definition's full name; one per definition, shared by all that hold it."""
    if name not in _plans:
        made = dict(_plans)
        _make(name, made)
        _plans.update(made)  # only now: another thread must not find one that is not whole
    return _plans[name]


def _make(name: str, plans: dict[str, Plan]) -> Plan:
    """The plan, made with all it needs into `plans`: definitions may contain themselves."""
    plan = plans.get(name)
    if plan is not None:
        return plan
    struct = of(name)
    plan = plans[name] = Plan(struct)
    children = []
    for field, check in struct.fields.items():
        inner = check.items if isinstance(check, List | Map) else check
        if isinstance(check, Node) and isinstance(inner, Ref):
            child = _make(inner.definition, plans)
            if child.objects or child.values or child.rule or child.children:
                children.append((field, type(check), child))
    plan.children = tuple(children)
    return plan


def default(name: str, obj: Object, known: Object = _NOTHING) -> None:
    """Fill `obj`, which was decoded, in place; fields that are as in `known`, which was filled, need not be visited."""
    plan_of(name).apply(obj, known)
