"""FlowSchemas: which requests are served at which priority level."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, condition_of, conditions_of, dig

_DISTINGUISHERS = ("ByNamespace", "ByUser")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_MOST = 10000
_NAMESPACE = "each member of this list must be '*' or a DNS-1123 label; "


class FlowSchemaStrategy(Strategy):
    """Source: pkg/apis/flowcontrol/validation, ValidateFlowSchema."""

    has_status = True
    has_generation = True
    status_keeps_metadata = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        name, spec = obj["metadata"].get("name", ""), obj["spec"]
        found = _spec(name, spec)
        if name in ("catch-all", "exempt"):
            from pylet.api import flowcontrol

            if spec != flowcontrol.mandatory_spec("FlowSchema", name):
                found.append(causes.invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))
        return [*found, *validate_conditions(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        return validate_conditions(obj) if subresource == "status" else self.validate(obj)


def _spec(name: str, spec: Object) -> list[Cause]:
    found: list[Cause] = []
    precedence, where = spec.get("matchingPrecedence", 0), "spec.matchingPrecedence"
    if precedence <= 0:
        found.append(causes.invalid(where, precedence, "must be a positive value"))
    if precedence > _MOST:
        found.append(causes.invalid(where, precedence, f"must not be greater than {_MOST}"))
    if precedence == 1 and name != "exempt":
        says = "only the schema named 'exempt' may have matchingPrecedence 1"
        found.append(causes.invalid(where, precedence, says))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in _DISTINGUISHERS:
        found.append(
            causes.not_supported("spec.distinguisherMethod.type", {"Type": method.get("type", "")}, _DISTINGUISHERS)
        )
    level, where = dig(spec, "priorityLevelConfiguration", "name", default=""), "spec.priorityLevelConfiguration.name"
    if level:
        found += causes.each(where, level, names.dns_subdomain(level))
    else:
        found.append(causes.required(where, "must reference a priority level"))
    for position, rule in enumerate(spec.get("rules") or ()):
        found += _rule(rule, f"spec.rules[{position}]")
    return found


def _rule(rule: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    if not rule.get("subjects"):
        found.append(causes.required(f"{where}.subjects", "subjects must contain at least one value"))
    for position, subject in enumerate(rule.get("subjects") or ()):
        found += _subject(subject, f"{where}.subjects[{position}]")
    resources, others = rule.get("resourceRules") or (), rule.get("nonResourceRules") or ()
    if not resources and not others:
        says = "at least one of resourceRules and nonResourceRules has to be non-empty"
        found.append(causes.required(where, says))
    for position, one in enumerate(resources):
        found += _resources(one, f"{where}.resourceRules[{position}]")
    for position, one in enumerate(others):
        found += _paths(one, f"{where}.nonResourceRules[{position}]")
    return found


def _subject(subject: Object, where: str) -> list[Cause]:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        return [causes.not_supported(f"{where}.kind", kind, _SUBJECTS)]
    field = _SUBJECTS[kind]
    found = _subject_name(subject.get(field), f"{where}.{field}", kind)
    for other, name in _SUBJECTS.items():
        if name != field and name in subject:
            says = f"{name} is forbidden when subject kind is not '{other}'"
            found.append(causes.forbidden(f"{where}.{name}", says))
    return found


def _subject_name(subject: Object | None, where: str, kind: str) -> list[Cause]:
    if subject is None:
        return [causes.required(where, f"{_SUBJECTS[kind]} is required when subject kind is '{kind}'")]
    name, namespace = subject.get("name", ""), subject.get("namespace", "")
    found = [] if name else [causes.required(f"{where}.name")]
    if kind == "ServiceAccount":
        if name and name != "*":
            found += causes.each(f"{where}.name", name, names.dns_subdomain(name))
        if namespace:
            found += causes.each(f"{where}.namespace", namespace, names.dns_label(namespace))
        else:
            found.append(causes.required(f"{where}.namespace", "must specify namespace for service account"))
    return found


def _verbs(rule: Object, where: str) -> list[Cause]:
    verbs = rule.get("verbs") or []
    if not verbs:
        return [causes.required(f"{where}.verbs", "verbs must contain at least one value")]
    if "*" in verbs:
        return causes.alone(verbs, f"{where}.verbs", "verbs")
    if not set(verbs) <= set(_VERBS):
        return [causes.not_supported(f"{where}.verbs", verbs, _VERBS)]
    return []


def _resources(rule: Object, where: str) -> list[Cause]:
    found = _verbs(rule, where)
    for name, one, many in (("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")):
        values = rule.get(name) or []
        if not values:
            found.append(causes.required(f"{where}.{name}", f"resource rules must supply at least one {one}"))
        found += causes.alone(values, f"{where}.{name}", many)
    namespaces = rule.get("namespaces") or []
    if not namespaces and not rule.get("clusterScope"):
        says = "resource rules that are not cluster scoped must supply at least one namespace"
        found.append(causes.required(f"{where}.namespaces", says))
    elif "*" in namespaces:
        found += causes.alone(namespaces, f"{where}.namespaces", "namespaces")
    else:
        for position, namespace in enumerate(namespaces):
            problems = [_NAMESPACE + problem for problem in names.dns_label(namespace)]
            found += causes.each(f"{where}.namespaces[{position}]", namespace, problems)
    return found


def _paths(rule: Object, where: str) -> list[Cause]:
    found = _verbs(rule, where)
    paths, field = rule.get("nonResourceURLs") or [], f"{where}.nonResourceURLs"
    if not paths:
        found.append(causes.required(field, "nonResourceURLs must contain at least one value"))
    elif "*" in paths:
        found += causes.alone(paths, field, "non-resource URLs")
    else:
        for position, path in enumerate(paths):
            problem = _path_problem(path)
            if problem:
                found.append(causes.invalid(f"{field}[{position}]", path, problem))
    return found


def _path_problem(path: str) -> str:
    if not path:
        return "must not be empty"
    if not path.startswith("/"):
        return "must start with slash"
    if " " in path:
        return "must not contain white-space"
    if "//" in path:
        return "must not contain double slash"
    if "*" in path and (path.count("*") > 1 or not path.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def validate_conditions(obj: Object) -> list[Cause]:
    """Types of a status' conditions: given, and each once."""
    found: list[Cause] = []
    seen: set[str] = set()
    for position, condition in enumerate(conditions_of(obj)):
        field, type_ = f"status.conditions[{position}].type", condition.get("type", "")
        if type_ in seen:
            found.append(causes.duplicate(field, type_))
        seen.add(type_)
        if not type_:
            found.append(causes.required(field))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    dangling = condition_of(obj, "Dangling")
    return [
        obj["metadata"]["name"],
        dig(spec, "priorityLevelConfiguration", "name", default=""),
        spec.get("matchingPrecedence", 0),
        dig(spec, "distinguisherMethod", "type", default="<none>"),
        columns.age(obj, now),
        dangling.get("status", "") if dangling else "?",
    ]


KIND = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    name="FlowSchema",
    plural="flowschemas",
    definition="io.k8s.api.flowcontrol.v1.FlowSchema",
    namespaced=False,
    subresources=("status",),
    strategy=FlowSchemaStrategy(),
    columns=(
        columns.NAME,
        Column("PriorityLevel", description="The priority level of requests that match."),
        Column("MatchingPrecedence", description="Lower ones are tried first."),
        Column("DistinguisherMethod", description="How requests are told apart into flows."),
        columns.AGE,
        Column("MissingPL", description="Whether its priority level is missing or broken."),
    ),
    cells=_cells,
    row_order=lambda schema: (schema["spec"].get("matchingPrecedence", 0), schema["metadata"]["name"]),
)
