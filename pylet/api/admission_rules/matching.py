"""Which requests a webhook or policy is about: rules, selectors, match conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pylet.api import causes, names, selector
from pylet.api.admission_rules.expressions import BOOL, Compiler
from pylet.api.errors import Cause
from pylet.api.object import Object

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_MUTABLE_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_MOST_CONDITIONS = 64


def one_of(of: Object, field: str, where: str, supported: Sequence[str]) -> list[Cause]:
    value = of.get(field)
    if value is None or value in supported:
        return []
    return [causes.not_supported(f"{where}.{field}", value, supported)]


def validate_rule(rule: Object, where: str) -> list[Cause]:
    operations = rule.get("operations") or []
    found = [] if operations else [causes.required(f"{where}.operations")]
    found += causes.alone(operations, f"{where}.operations", "operations")
    for position, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            found.append(causes.not_supported(f"{where}.operations[{position}]", operation, _OPERATIONS))
    for name, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(name) or []
        if not values:
            found.append(causes.required(f"{where}.{name}"))
        found += causes.alone(values, f"{where}.{name}", what)
    for position, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            found.append(causes.required(f"{where}.apiVersions[{position}]"))
    found += _resources(rule.get("resources") or [], f"{where}.resources")
    return [*found, *one_of(rule, "scope", where, _SCOPES)]


def _resources(resources: list[str], where: str) -> list[Cause]:
    found = [] if resources else [causes.required(where)]
    every_sub: set[str] = set()  # x of x/*
    every_resource: set[str] = set()  # x of */x
    has_plain = False
    for position, text in enumerate(resources):
        field = f"{where}[{position}]"
        if not text:
            found.append(causes.required(field))
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            has_plain = text != "*"
            continue
        if resource in every_sub:
            says = f"if '{resource}/*' is present, must not specify {text}"
            found.append(causes.invalid(field, text, says))
        if sub in every_resource:
            found.append(causes.invalid(field, text, f"if '*/{sub}' is present, must not specify {text}"))
        if sub == "*":
            every_sub.add(resource)
        if resource == "*":
            every_resource.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        says = "if '*/*' is present, must not specify other resources"
        found.append(causes.invalid(where, resources, says))
    if "*" in resources and has_plain:
        says = "if '*' is present, must not specify other resources without subresources"
        found.append(causes.invalid(where, resources, says))
    return found


def validate_conditions(conditions: Iterable[Object], where: str, *, params: bool = False) -> list[Cause]:
    """`params`: the conditions may name parameters."""
    conditions = list(conditions)
    compiler = Compiler(params=params)
    found: list[Cause] = []
    if len(conditions) > _MOST_CONDITIONS:
        found.append(causes.too_many(where, len(conditions), _MOST_CONDITIONS))
    seen: set[str] = set()
    for position, condition in enumerate(conditions):
        field, name = f"{where}[{position}]", condition.get("name", "")
        if expression := condition.get("expression", "").strip():
            found += compiler.check(expression, f"{field}.expression", BOOL)
        else:
            found.append(causes.required(f"{field}.expression"))
        if name:
            found += causes.each(f"{field}.name", name, names.qualified_name(name))
        else:
            found.append(causes.required(f"{field}.name"))
        if name and name in seen:
            found.append(causes.duplicate(f"{field}.name", name))
        seen.add(name)
    return found


def validate_match_resources(of: Object | None, where: str) -> list[Cause]:
    if of is None:
        return []
    found = one_of(of, "matchPolicy", where, MATCH_POLICIES)
    for name in ("namespaceSelector", "objectSelector"):
        found += selector.validate_object(of.get(name), f"{where}.{name}")
    for name in ("resourceRules", "excludeResourceRules"):
        for position, rule in enumerate(of.get(name) or ()):
            found += _named_rule(rule, f"{where}.{name}[{position}]")
    return found


def validate_mutable(of: Object | None, where: str) -> list[Cause]:
    """Deletions cannot be mutated."""
    rules = (of or {}).get("resourceRules") or ()
    return [
        causes.not_supported(f"{where}.resourceRules.operations", operation, _MUTABLE_OPERATIONS)
        for rule in rules
        for operation in rule.get("operations") or ()
        if operation not in _MUTABLE_OPERATIONS
    ]


def _named_rule(rule: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    resource_names = rule.get("resourceNames") or []
    for position, name in enumerate(resource_names):
        field = f"{where}.resourceNames[{position}]"
        found += causes.each(field, name, names.path_segment(name))
        if name in resource_names[:position]:
            found.append(causes.duplicate(field, name))
    return [*found, *validate_rule(rule, where)]
