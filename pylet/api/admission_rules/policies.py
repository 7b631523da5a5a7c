"""Validating and mutating admission policies and their bindings."""

from __future__ import annotations

import re

from pylet.api import causes, conditions, names, selector
from pylet.api.admission_rules.expressions import BOOL, OBJECT, PATCHES, STRING, STRING_OR_NULL, Compiler
from pylet.api.admission_rules.matching import (
    FAILURE_POLICIES,
    REINVOCATION_POLICIES,
    one_of,
    validate_conditions,
    validate_match_resources,
    validate_mutable,
)
from pylet.api.errors import Cause
from pylet.api.object import Object, conditions_of, dig

_ACTIONS = ("Audit", "Deny", "Warn")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_PATCH_TYPES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_NOT_FOUND_ACTIONS = ("Deny", "Allow")
_MOST_ANNOTATIONS = 20
_MOST_ANNOTATION_BYTES = 5 << 10
_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)


def validating(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    compiler = Compiler(params=spec.get("paramKind") is not None, variables=True)
    found = _both(spec, compiler)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or []
    if not validations and not annotations:
        says = "validations or auditAnnotations must contain at least one item"
        return [*found, *(causes.required(f"spec.{name}", says) for name in ("validations", "auditAnnotations"))]
    for position, validation in enumerate(validations):
        found += _validation(validation, f"spec.validations[{position}]", compiler)
    if len(annotations) > _MOST_ANNOTATIONS:
        says = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        found.append(causes.invalid("spec.auditAnnotations", annotations, says))
    seen: set[str] = set()
    for position, annotation in enumerate(annotations):
        where, key = f"spec.auditAnnotations[{position}]", annotation.get("key", "")
        found += _annotation(annotation, where, obj["metadata"].get("name", ""), compiler)
        if key in seen:
            found.append(causes.duplicate(f"{where}.key", key))
        seen.add(key)
    return found


def mutating(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    compiler = Compiler(params=spec.get("paramKind") is not None, variables=True)
    found = _both(spec, compiler, mutates=True)
    if not spec.get("mutations"):
        found.append(causes.required("spec.mutations", "mutations must contain at least one item"))
    for position, mutation in enumerate(spec.get("mutations") or ()):
        found += _mutation(mutation, f"spec.mutations[{position}]", compiler)
    if not spec.get("reinvocationPolicy"):
        return [*found, causes.required("spec.reinvocationPolicy")]
    return [*found, *one_of(spec, "reinvocationPolicy", "spec", REINVOCATION_POLICIES)]


def validating_binding(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    actions, where = spec.get("validationActions") or [], "spec.validationActions"
    found = _binding(spec)
    for position, action in enumerate(actions):
        if action not in _ACTIONS:
            found.append(causes.not_supported(f"{where}[{position}]", action, _ACTIONS))
        if action in actions[:position]:
            found.append(causes.duplicate(f"{where}[{position}]", action))
    if {"Deny", "Warn"} <= set(actions):
        says = (
            "must not contain both Deny and Warn (repeating the same validation failure information "
            "in the API response and headers serves no purpose)"
        )
        found.append(causes.invalid(where, actions, says))
    if not actions:
        found.append(causes.required(where, "at least one validation action is required"))
    return found


def mutating_binding(obj: Object) -> list[Cause]:
    return [*_binding(obj["spec"]), *validate_mutable(obj["spec"].get("matchResources"), "spec.matchResources")]


def status(obj: Object) -> list[Cause]:
    found: list[Cause] = []
    for position, warning in enumerate(dig(obj, "status", "typeChecking", "expressionWarnings", default=())):
        where = f"status.typeChecking.expressionWarnings[{position}]"
        found += [causes.required(f"{where}.{name}") for name in ("warning", "fieldRef") if not warning.get(name)]
    return [*found, *conditions.validate(list(conditions_of(obj)), "status.conditions")]


def _both(spec: Object, compiler: Compiler, *, mutates: bool = False) -> list[Cause]:
    """What both kinds of policy have."""
    found = one_of(spec, "failurePolicy", "spec", FAILURE_POLICIES)
    if spec.get("paramKind") is not None:
        found += _param_kind(spec["paramKind"], "spec.paramKind")
    constraints, where = spec.get("matchConstraints"), "spec.matchConstraints"
    if constraints is None:
        found.append(causes.required(where))
    else:
        found += validate_match_resources(constraints, where)
        if not constraints.get("resourceRules"):
            found.append(causes.required(f"{where}.resourceRules"))
        if mutates:
            found += validate_mutable(constraints, where)
    params = spec.get("paramKind") is not None
    found += validate_conditions(spec.get("matchConditions") or (), "spec.matchConditions", params=params)
    for position, variable in enumerate(spec.get("variables") or ()):
        where, name = f"spec.variables[{position}]", variable.get("name", "")
        if not name.strip():
            found.append(causes.required(f"{where}.name", "name is not specified"))
        elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
            found.append(causes.invalid(f"{where}.name", name, "must be a valid CEL identifier"))
        missing = _expression(variable, "expression", where, "expression is not specified")
        found += missing or compiler.variable(name, variable["expression"], f"{where}.expression")
    return found


def _expression(of: Object, field: str, where: str, says: str = "") -> list[Cause]:
    return [] if of.get(field, "").strip() else [causes.required(f"{where}.{field}", says)]


def _param_kind(of: Object, where: str) -> list[Cause]:
    version, kind = of.get("apiVersion", ""), of.get("kind", "")
    found = _api_version(version, f"{where}.apiVersion")
    if not kind:
        found.append(causes.required(f"{where}.kind"))
    elif problems := names.dns_1035_label(kind.lower()):
        says = "may have mixed case, but should otherwise match: " + ",".join(problems)
        found.append(causes.invalid(f"{where}.kind", kind, says))
    return found


def _api_version(text: str, field: str) -> list[Cause]:
    if not text:
        return [causes.required(field)]
    if text.count("/") > 1:
        return [causes.invalid(field, text, f"unexpected GroupVersion string: {text}")]
    found: list[Cause] = []
    group, _, version = text.rpartition("/")
    if group and (problems := names.dns_subdomain(group)):
        found.append(causes.invalid(field, group, ",".join(problems)))
    if not version:
        found.append(causes.invalid(field, text, "version must be specified"))
    elif problems := names.dns_1035_label(version):
        found.append(causes.invalid(field, version, ",".join(problems)))
    return found


def _validation(validation: Object, where: str, compiler: Compiler) -> list[Cause]:
    found = _expression(validation, "expression", where, "expression is not specified")
    found = found or compiler.check(validation["expression"], f"{where}.expression", BOOL)
    for name in ("messageExpression", "message"):
        text = validation.get(name, "")
        if text and not text.strip():
            found.append(causes.invalid(f"{where}.{name}", text, "must be non-empty if specified"))
        elif text and name == "messageExpression":
            found += compiler.check(text, f"{where}.{name}", STRING, authorizer=False)
    message = validation.get("message", "")
    if re.search("[\n\r]", message.strip()):
        found.append(causes.invalid(f"{where}.message", message, "must not contain line breaks"))
    return [*found, *one_of(validation, "reason", where, _REASONS)]


def _annotation(annotation: Object, where: str, policy: str, compiler: Compiler) -> list[Cause]:
    key, text = annotation.get("key", ""), annotation.get("valueExpression", "").strip()
    if policy:
        found = causes.each(f"{where}.key", f"{policy}/{key}", names.qualified_name(f"{policy}/{key}"))
    else:
        found = [causes.invalid(f"{where}.key", key, "requires metadata.name be non-empty")]
    if not text:
        found.append(causes.required(f"{where}.valueExpression", "valueExpression is not specified"))
    elif len(text) > _MOST_ANNOTATION_BYTES:
        says = f"must not exceed {_MOST_ANNOTATION_BYTES} bytes in length"
        found.append(causes.required(f"{where}.valueExpression", says))
    else:
        written = annotation["valueExpression"]
        found += compiler.check(text, f"{where}.valueExpression", STRING_OR_NULL, written=written)
    return found


def _mutation(mutation: Object, where: str, compiler: Compiler) -> list[Cause]:
    type_ = mutation.get("patchType", "")
    if not type_:
        return [causes.required(f"{where}.patchType")]
    if type_ not in _PATCH_TYPES:
        return [causes.not_supported(f"{where}.patchType", type_, _PATCH_TYPES)]
    found: list[Cause] = []
    for name, field in _PATCH_TYPES.items():
        patch = mutation.get(field)
        if name != type_ and patch is not None:
            says = f"must not be specified when patchType is {type_}"
            found.append(causes.invalid(f"{where}.{field}", f"{{{field}}}", says))
        elif name == type_ and patch is None:
            found.append(causes.required(f"{where}.{field}", f"must be specified when patchType is {type_}"))
        elif name == type_ and patch is not None:
            expect = OBJECT if field == "applyConfiguration" else PATCHES
            missing = _expression(patch, "expression", f"{where}.{field}")
            found += missing or compiler.check(patch["expression"].strip(), f"{where}.{field}.expression", expect)
    return found


def _binding(spec: Object) -> list[Cause]:
    policy = spec.get("policyName", "")
    where = "spec.policyName"
    found = causes.each(where, policy, names.dns_subdomain(policy)) if policy else [causes.required(where)]
    if spec.get("paramRef") is not None:
        found += _param_ref(spec["paramRef"], "spec.paramRef")
    return [*found, *validate_match_resources(spec.get("matchResources"), "spec.matchResources")]


def _param_ref(of: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    name, chosen, both = of.get("name", ""), of.get("selector"), "name and selector are mutually exclusive"
    if name:
        found += causes.each(f"{where}.name", name, names.path_segment(name))
        if chosen is not None:
            found.append(causes.forbidden(f"{where}.name", both))
    if chosen is not None:
        found += selector.validate_object(chosen, f"{where}.selector")
        if name:
            found.append(causes.forbidden(f"{where}.selector", both))
    if not name and chosen is None:
        found.append(causes.required(where, "one of name or selector must be specified"))
    if not of.get("parameterNotFoundAction"):
        return [*found, causes.required(f"{where}.parameterNotFoundAction")]
    return [*found, *one_of(of, "parameterNotFoundAction", where, _NOT_FOUND_ACTIONS)]
