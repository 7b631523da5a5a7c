"""What expressions outside of CRDs can name: admission policies, match conditions, device selectors.

Source: apiserver pkg/admission/plugin/cel/compile.go and composition.go, pkg/cel/mutation/typeresolver.go,
dynamic-resource-allocation/cel/compile.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.checker import Scope
from pylet.api.cel.errors import CelError, CompileError, CostExceeded, EvaluationError
from pylet.api.cel.functions import Functions
from pylet.api.cel.library import declared, declared_for_patches
from pylet.api.cel.library.authorizer import Ask, Authorizer, Question, ResourceCheck, resource_check
from pylet.api.cel.library.quantity import Quantity
from pylet.api.cel.names import unescape
from pylet.api.cel.program import Budget, Program
from pylet.api.cel.types import Declaration, Type, parse_type
from pylet.api.cel.values import Duration, Timestamp, parse_timestamp, type_name
from pylet.api.object import Object

BOOL, STRING, DYN, NULL = t.BOOL, t.STRING, t.DYN, t.NULL


class Unfit(CelError):
    """The expression does not compile, or answers with the wrong type; says why as upstream does."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables and constructible types of an expression."""

    variables: Mapping[str, Type]
    structs: Mapping[str, Type] = field(default_factory=dict)
    functions: Callable[[], Functions] = declared

    def with_variables(self, kinds: Mapping[str, Type]) -> Environment:
        """With `variables.<name>`, each of its expression's type."""
        composed = object_type("kubernetes.variables", dict(kinds))
        return replace(self, variables={**self.variables, "variables": composed})


def compile(expression: str, environment: Environment, expect: Iterable[Type] = ()) -> Program:
    """A program; `expect` are the types it may answer with, none for any. Raises: Unfit."""
    try:
        program = Program(expression, Scope(environment.variables, environment.functions(), environment.structs))
    except CompileError as bad:
        raise Unfit(f"compilation failed: {bad}") from bad
    except EvaluationError as bad:
        raise Unfit(f"program instantiation failed: {bad}") from bad
    wanted = list(expect)
    if wanted and program.type not in wanted:
        if len(wanted) == 1:
            raise Unfit(f"must evaluate to {wanted[0]} but got {program.type}")
        listed = " ".join(one.kind if one == t.NULL else str(one) for one in wanted)
        raise Unfit(f"must evaluate to one of [{listed}] but got {program.type}")
    return program


def object_type(name: str, fields: Mapping[str, Type | str]) -> Type:
    """A type of that name with these fields, each of a type or of one that `parse_type` reads."""
    kinds = {key: kind if isinstance(kind, Type) else parse_type(kind) for key, kind in fields.items()}
    return Type("object", (), name, Declaration({key: (key, kind) for key, kind in kinds.items()}))


USER_INFO = object_type(
    "kubernetes.UserInfo",
    {"username": "string", "uid": "string", "groups": "list(string)", "extra": "map(string, list(string))"},
)


def _request() -> Type:
    kind = object_type("kubernetes.GroupVersionKind", {"group": "string", "version": "string", "kind": "string"})
    resource = object_type(
        "kubernetes.GroupVersionResource", {"group": "string", "version": "string", "resource": "string"}
    )
    return object_type(
        "kubernetes.AdmissionRequest",
        {
            "kind": kind,
            "resource": resource,
            "subResource": "string",
            "requestKind": kind,
            "requestResource": resource,
            "requestSubResource": "string",
            "name": "string",
            "namespace": "string",
            "operation": "string",
            "userInfo": USER_INFO,
            "dryRun": "bool",
            "options": "dyn",
        },
    )


def _namespace() -> Type:
    condition = object_type(
        "kubernetes.NamespaceCondition",
        {
            "status": "string",
            "type": "string",
            "lastTransitionTime": "timestamp",
            "message": "string",
            "reason": "string",
        },
    )
    metadata = {
        **dict.fromkeys(("name", "generateName", "namespace", "UID", "resourceVersion"), "string"),
        **dict.fromkeys(("labels", "annotations"), "map(string, string)"),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), "timestamp"),
        **dict.fromkeys(("deletionGracePeriodSeconds", "generation"), "int"),
        "finalizers": "list(string)",
    }
    return object_type(
        "kubernetes.Namespace",
        {
            "metadata": object_type("kubernetes.NamespaceMetadata", metadata),
            "spec": object_type("kubernetes.NamespaceSpec", {"finalizers": "list(string)"}),
            "status": object_type(
                "kubernetes.NamespaceStatus", {"conditions": t.list_of(condition), "phase": "string"}
            ),
        },
    )


class _AnyField(dict[str, tuple[str, Type]]):
    """The fields of a type without a schema: every name, of any type."""

    def get(self, name: str, default: Any = None) -> tuple[str, Type]:
        return self[name]

    def __missing__(self, name: str) -> tuple[str, Type]:
        return unescape(name), t.DYN


JSON_PATCH = object_type("JSONPatch", {"op": "string", "path": "string", "from": "string", "value": "dyn"})
OBJECT = Type("object", (), "Object", Declaration(_AnyField()))


class _Patches(dict[str, Type]):
    """`JSONPatch`, and `Object` with the types of its fields: `Object.spec.template`."""

    def get(self, name: str, default: Any = None) -> Type | Any:
        if name == "Object" or name.startswith("Object."):
            return replace(OBJECT, name=name)
        return JSON_PATCH if name == "JSONPatch" else default


def admission(*, params: bool = False, authorizer: bool = False, patches: bool = False) -> Environment:
    """What policies and match conditions see. Bind it with `bindings`."""
    variables: dict[str, Type] = {
        "object": t.DYN,
        "oldObject": t.DYN,
        "namespaceObject": _namespace(),
        "request": _request(),
    }
    if params:
        variables["params"] = t.DYN
    if authorizer:
        variables["authorizer"] = Authorizer.CEL_TYPE
        variables["authorizer.requestResource"] = ResourceCheck.CEL_TYPE
    return Environment(variables, _Patches(), declared_for_patches) if patches else Environment(variables)


def bindings(
    *,
    obj: Object | None,
    old: Object | None,
    request: Object,
    namespace: Object | None = None,
    params: Object | None = None,
    ask: Ask | None = None,
) -> dict[str, Any]:
    """The values of an `admission` environment; `request` is the AdmissionRequest as JSON, `ask` the authorizer."""
    known = {name: value for name, value in request.items() if name not in ("object", "oldObject", "uid")}
    values: dict[str, Any] = {
        "object": obj,
        "oldObject": old,
        "request": known,
        "namespaceObject": namespace_value(namespace),
        "params": params,
    }
    if ask is not None:
        resource = request.get("resource") or {}
        question = Question(
            group=resource.get("group") or "",
            resource=resource.get("resource") or "",
            subresource=request.get("subResource") or "",
            namespace=request.get("namespace") or "",
            name=request.get("name") or "",
        )
        values["authorizer"] = Authorizer(ask)
        values["authorizer.requestResource"] = resource_check(ask, question)
    return values


def namespace_value(namespace: Object | None) -> Object | None:
    """A Namespace with its times as timestamps."""
    if namespace is None:
        return None
    metadata = dict(namespace["metadata"])
    for name in ("creationTimestamp", "deletionTimestamp"):
        if metadata.get(name):
            metadata[name] = parse_timestamp(metadata[name])
    status = dict(namespace.get("status") or {})
    if status.get("conditions"):
        status["conditions"] = [
            {**one, "lastTransitionTime": parse_timestamp(one["lastTransitionTime"])}
            if one.get("lastTransitionTime")
            else one
            for one in status["conditions"]
        ]
    return {**namespace, "metadata": metadata, "status": status}


class Variables(dict[str, Any]):
    """The value of `variables`: each is evaluated when it is first asked for, in the same scope and budget."""

    def __init__(self, programs: Mapping[str, Program], scope: Mapping[str, Any], budget: Budget) -> None:
        super().__init__()
        self._programs = programs
        self._scope = {**scope, "variables": self}
        self._budget = budget
        self._failed: dict[str, EvaluationError] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._programs

    def __missing__(self, name: str) -> Any:
        if name in self._failed:
            raise self._failed[name]
        try:
            value = self[name] = self._programs[name].evaluate(self._scope, self._budget)
        except (EvaluationError, CostExceeded) as bad:
            self._failed[name] = EvaluationError(f'composited variable "{name}" fails to evaluate: {bad}')
            raise self._failed[name] from bad
        return value


def to_json(value: Any) -> Any:
    """A value an expression made, as JSON: what a patch or an audit annotation holds."""
    match value:
        case dict():
            return {str(key): to_json(item) for key, item in value.items()}
        case list():
            return [to_json(item) for item in value]
        case Timestamp() | Duration():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case None | bool() | int() | float() | str():
            return value
    raise EvaluationError(f"cannot convert {type_name(value)} to JSON")


# ---- device selectors


class _Domains(dict[str, Any]):
    """A domain no attribute has is an empty map, not an error."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return {}


def device_selector() -> Environment:
    """The environment of a DeviceClass's and a ResourceClaim's CEL selectors."""
    fields = {
        "driver": "string",
        "attributes": "map(string, map(string, dyn))",
        "capacity": "map(string, map(string, kubernetes.Quantity))",
        "allowMultipleAllocations": "bool",
    }
    return Environment({"device": object_type("kubernetes.DRADevice", fields)})


def device_bindings(driver: str, device: Object) -> dict[str, Any]:
    """A device of a ResourceSlice, for its selector; names without a domain are the driver's own."""
    from pylet.api.cel.library import quantity, semver

    def by_domain(entries: Mapping[str, Any]) -> _Domains:
        domains = _Domains()
        for name, value in entries.items():
            domain, _, plain = name.rpartition("/")
            dict.setdefault(domains, domain or driver, {})[plain] = value
        return domains

    attributes: dict[str, Any] = {}
    for name, one in (device.get("attributes") or {}).items():
        kind, value = next(iter(one.items()))
        attributes[name] = semver.parse(value) if kind == "version" else value
    capacity: dict[str, Quantity] = {
        name: quantity.parse_quantity(one["value"]) for name, one in (device.get("capacity") or {}).items()
    }
    return {
        "device": {
            "driver": driver,
            "attributes": by_domain(attributes),
            "capacity": by_domain(capacity),
            "allowMultipleAllocations": bool(device.get("allowMultipleAllocations")),
        }
    }
