"""What a pod may ask of the scheduler: node selector, affinity, tolerations, spreading, gates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pylet.api import causes, names, selector
from pylet.api.errors import Cause
from pylet.api.object import Object, dig

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")


def validate(spec: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    for key, value in (spec.get("nodeSelector") or {}).items():
        found += causes.each(f"{field}.nodeSelector", key, names.qualified_name(key))
        found += causes.each(f"{field}.nodeSelector", value, names.label_value(value))
    if affinity := spec.get("affinity"):
        found += _affinity(affinity, f"{field}.affinity")
    if tolerations := spec.get("tolerations"):
        found += validate_tolerations(tolerations, f"{field}.tolerations")
    if constraints := spec.get("topologySpreadConstraints"):
        found += _spreading(constraints, f"{field}.topologySpreadConstraints")
    for position, gate in enumerate(spec.get("readinessGates") or ()):
        type_ = gate.get("conditionType", "")
        found += causes.each(f"{field}.readinessGates[{position}].conditionType", type_, names.qualified_name(type_))
    taken = set()
    for position, gate in enumerate(spec.get("schedulingGates") or ()):
        name = gate.get("name", "")
        found += causes.each(f"{field}.schedulingGates[{position}]", name, names.qualified_name(name))
        if name in taken:
            found.append(causes.duplicate(f"{field}.schedulingGates[{position}]", name))
        taken.add(name)
    return found


def gated_node(spec: Object, field: str) -> list[Cause]:
    """Of pods alone: a template may name both."""
    if not (spec.get("schedulingGates") and spec.get("nodeName")):
        return []
    return [causes.forbidden(f"{field}.nodeName", "cannot be set until all schedulingGates have been cleared")]


def validate_tolerations(tolerations: Iterable[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    for position, toleration in enumerate(tolerations):
        where = f"{field}[{position}]"
        get = toleration.get
        key, value, operator, effect = get("key", ""), get("value", ""), get("operator", ""), get("effect", "")
        if key:
            found += causes.each(f"{where}.key", key, names.qualified_name(key))
        elif operator != "Exists":
            says = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(causes.invalid(f"{where}.operator", operator, says))
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            says = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(causes.invalid(f"{where}.effect", effect, says))
        match operator:
            case "" | "Equal":
                if problems := names.label_value(value):
                    found.append(causes.invalid(f"{where}.operator", value, ";".join(problems)))
            case "Exists":
                if value:
                    says = "value must be empty when `operator` is 'Exists'"
                    found.append(causes.invalid(f"{where}.operator", value, says))
            case _:
                compared = ("Lt", "Gt") if operator in ("Lt", "Gt") else ()
                found.append(causes.not_supported(f"{where}.operator", operator, ("Equal", "Exists", *compared)))
        if effect and effect not in _EFFECTS:
            found.append(causes.not_supported(f"{where}.effect", effect, _EFFECTS))
    return found


def _affinity(affinity: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    node = affinity.get("nodeAffinity") or {}
    where = f"{field}.nodeAffinity"
    if _REQUIRED in node:
        found += validate_node_selector(node[_REQUIRED], f"{where}.{_REQUIRED}")
    for position, preferred in enumerate(node.get(_PREFERRED) or ()):
        at = f"{where}.{_PREFERRED}[{position}]"
        found += _weight(preferred, at)
        found += _node_term(preferred.get("preference") or {}, f"{at}.preference", is_preferred=True)
    for kind in ("podAffinity", "podAntiAffinity"):
        for position, term in enumerate(dig(affinity, kind, _REQUIRED, default=())):
            found += _pod_term(term, f"{field}.{kind}.{_REQUIRED}[{position}]")
        for position, weighted in enumerate(dig(affinity, kind, _PREFERRED, default=())):
            at = f"{field}.{kind}.{_PREFERRED}[{position}]"
            found += _weight(weighted, at)
            found += _pod_term(weighted.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return found


def validate_node_selector(chosen: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    terms = chosen.get("nodeSelectorTerms") or ()
    at = f"{field}.nodeSelectorTerms"
    if not terms:
        found.append(causes.required(at, "must have at least one node selector term"))
    for position, term in enumerate(terms):
        found += _node_term(term, f"{at}[{position}]")
    return found


def _weight(weighted: Object, field: str) -> list[Cause]:
    weight = weighted.get("weight", 0)
    return [] if 1 <= weight <= 100 else [causes.invalid(f"{field}.weight", weight, "must be in the range 1-100")]


def _node_term(term: Object, field: str, *, is_preferred: bool = False) -> list[Cause]:
    """What is preferred may name values that no label has: `warnings` tells of them."""
    found: list[Cause] = []
    for position, expression in enumerate(term.get("matchExpressions") or ()):
        where = f"{field}.matchExpressions[{position}]"
        key, operator, values = (
            expression.get("key", ""),
            expression.get("operator", ""),
            expression.get("values") or (),
        )
        found += causes.each(f"{where}.key", key, names.qualified_name(key))
        match operator:
            case "In" | "NotIn":
                if not values:
                    says = "must be specified when `operator` is 'In' or 'NotIn'"
                    found.append(causes.required(f"{where}.values", says))
            case "Exists" | "DoesNotExist":
                if values:
                    says = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                    found.append(causes.forbidden(f"{where}.values", says))
            case "Gt" | "Lt":
                if len(values) != 1:
                    says = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                    found.append(causes.required(f"{where}.values", says))
            case _:
                found.append(causes.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        for index, value in enumerate(values if operator in ("In", "NotIn") and not is_preferred else ()):
            found += causes.each(f"{where}.values[{index}]", value, names.label_value(value))
    for position, expression in enumerate(term.get("matchFields") or ()):
        found += _node_field(expression, f"{field}.matchFields[{position}]")
    return found


def _node_field(expression: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    key, operator, values = (expression.get(name) or "" for name in ("key", "operator", "values"))
    if operator not in ("In", "NotIn"):
        found.append(causes.invalid(f"{where}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        says = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        found.append(causes.required(f"{where}.values", says))
    if key != "metadata.name":
        return [*found, causes.invalid(f"{where}.key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        found += causes.each(f"{where}.values[{index}]", value, names.dns_subdomain(value))
    return found


def _pod_term(term: Object, field: str) -> list[Cause]:
    found = selector.validate_object(term.get("labelSelector"), f"{field}.labelSelector")
    found += selector.validate_object(term.get("namespaceSelector"), f"{field}.namespaceSelector")
    for name in term.get("namespaces") or ():
        found += causes.each(f"{field}.namespace", name, names.dns_label(name))
    key = term.get("topologyKey", "")
    if not key:
        found.append(causes.required(f"{field}.topologyKey", "can not be empty"))
    found += causes.each(f"{field}.topologyKey", key, names.qualified_name(key))
    found += _label_keys(term, "matchLabelKeys", field)
    found += _label_keys(term, "mismatchLabelKeys", field)
    both = set(term.get("matchLabelKeys") or ()).intersection(term.get("mismatchLabelKeys") or ())
    for position, each in enumerate(term.get("matchLabelKeys") or ()):
        if each in both:
            says = "exists in both matchLabelKeys and mismatchLabelKeys"
            found.append(causes.invalid(f"{field}.matchLabelKeys[{position}]", each, says))
    return found


def _label_keys(holder: Object, name: str, field: str) -> list[Cause]:
    keys = holder.get(name) or ()
    if keys and holder.get("labelSelector") is None:
        return [causes.forbidden(f"{field}.{name}", "must not be specified when labelSelector is not set")]
    return [
        cause
        for position, key in enumerate(keys)
        for cause in causes.each(f"{field}.{name}[{position}]", key, names.qualified_name(key))
    ]


def _spreading(constraints: Sequence[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    taken: set[tuple[str, str]] = set()
    for position, constraint in enumerate(constraints):
        where = f"{field}[{position}]"
        skew, key = constraint.get("maxSkew", 0), constraint.get("topologyKey", "")
        unsatisfiable = constraint.get("whenUnsatisfiable", "")
        if skew <= 0:
            found.append(causes.invalid(f"{where}.maxSkew", skew, "must be greater than zero"))
        if not key:
            found.append(causes.required(f"{where}.topologyKey", "can not be empty"))
        if unsatisfiable not in _UNSATISFIABLE:
            found.append(causes.not_supported(f"{where}.whenUnsatisfiable", unsatisfiable, _UNSATISFIABLE))
        if (key, unsatisfiable) in taken:
            pair = f"{{{key}, {unsatisfiable}}}"
            first = next(at for at, each in enumerate(constraints) if each.get("topologyKey", "") == key)
            found.append(causes.duplicate(f"{field}[{first}].{{topologyKey, whenUnsatisfiable}}", pair))
        taken.add((key, unsatisfiable))
        least = constraint.get("minDomains")
        if least is not None and least <= 0:
            found.append(causes.invalid(f"{where}.minDomains", least, "must be greater than zero"))
        if least is not None and unsatisfiable != "DoNotSchedule":
            says = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {unsatisfiable}"
            found.append(causes.invalid(f"{where}.minDomains", least, says))
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if name in constraint and constraint[name] not in ("Honor", "Ignore"):
                found.append(causes.not_supported(f"{where}.{name}", constraint[name], ("Honor", "Ignore")))
        found += _label_keys(constraint, "matchLabelKeys", where)
        found += selector.validate_object(constraint.get("labelSelector"), f"{where}.labelSelector")
    return found
