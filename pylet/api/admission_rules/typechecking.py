"""Type checks of a ValidatingAdmissionPolicy's expressions against the schemas of what it is about.

They only warn: the policy runs whatever they find.
Source: apiserver pkg/admission/plugin/policy/validating/typechecking.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from pylet.api import schema
from pylet.api.cel import types as t
from pylet.api.cel.declared import declare_schema
from pylet.api.cel.environment import Environment, Unfit, admission, compile
from pylet.api.cel.names import unescape
from pylet.api.cel.types import Declaration, Type
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.schema.node import Any_, Bytes, Integer, List, Map, Node, Number, Ref, Scalar, Text

_MOST_KINDS = 10
_EMPTY = ("v1.FieldsV1", "runtime.RawExtension", "v1.CustomResourceSubresourceStatus")
"""What is an object without fields to expressions; other values of no type they cannot see."""
_NOT_COMPILED = "compilation failed: "


def expression_warnings(policy: Object, served: Sequence[Kind]) -> list[Object]:
    """The ExpressionWarnings of its status; `served` are all kinds."""
    spec = policy["spec"]
    kinds = _kinds_of(spec, served)
    if not kinds:
        return []
    parameters = _parameters(spec, served)
    environments = [(kind, _environment(spec, kind, parameters)) for kind in kinds]
    found: list[Object] = []
    for place, expression in _expressions(spec):
        problems = [_checked(kind, environment, expression) for kind, environment in environments]
        if told := "\n".join(filter(None, problems)):
            found.append({"fieldRef": place, "warning": told})
    return found


def _expressions(spec: Object) -> Iterator[tuple[str, str]]:
    for position, validation in enumerate(spec.get("validations") or ()):
        for name in ("expression", "messageExpression"):
            if validation.get(name):
                yield f"spec.validations[{position}].{name}", validation[name]


def _kinds_of(spec: Object, served: Sequence[Kind]) -> list[Kind]:
    """The kinds its rules name; who names all is not checked, and nobody for more than ten.

    Here, as in upstream's RESTMapper, the group "" is any.
    """
    found: dict[Kind, None] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = (sorted(rule.get(name) or ()) for name in ("apiGroups", "apiVersions"))
        if any("*" in word for word in (*groups, *versions)):
            continue
        resources = sorted(one for one in rule.get("resources") or () if not set(one) & set("*/"))
        named = ((g, v, r) for g in groups for v in versions for r in resources)
        matching = (
            kind for g, *one in named for kind in served if [kind.version, kind.plural] == one and g in ("", kind.group)
        )
        found |= dict.fromkeys(islice(matching, _MOST_KINDS))
    return sorted(found, key=lambda kind: (kind.group, kind.version, kind.name))[:_MOST_KINDS]


def _parameters(spec: Object, served: Sequence[Kind]) -> Type | None:
    named = spec.get("paramKind")
    if named is None:
        return None
    group, _, version = named["apiVersion"].rpartition("/")
    wanted = group, version, named["kind"]
    kind = next((kind for kind in served if (kind.group, kind.version, kind.name) == wanted), None)
    return t.DYN if kind is None else _type_of(kind)


def _environment(spec: Object, kind: Kind, parameters: Type | None) -> Environment:
    plain = admission(params=parameters is not None, authorizer=True)
    variables = {name: of for name, of in plain.variables.items() if name != "authorizer.requestResource"}
    variables["object"] = variables["oldObject"] = _type_of(kind)
    if parameters is not None:
        variables["params"] = parameters
    environment = replace(plain, variables=variables)
    known: dict[str, Type] = {}
    for variable in spec.get("variables") or ():
        try:
            known[variable["name"]] = compile(variable["expression"], environment.with_variables(known)).type
        except Unfit:
            known[variable["name"]] = t.DYN
    return environment.with_variables(known)


def _checked(kind: Kind, environment: Environment, expression: str) -> str:
    try:
        compile(expression, environment)
    except Unfit as unfit:
        text = str(unfit)
        if text.startswith(_NOT_COMPILED):
            return f"{kind.group}/{kind.version}, Kind={kind.name}: {text.removeprefix(_NOT_COMPILED)}\n"
    return ""


# ---- the types of objects


def _type_of(kind: Kind) -> Type:
    if kind.schema is not None:
        published: Any = getattr(kind.schema, "published", {})
        declared = declare_schema(published, kind.name, root=True)
        return t.DYN if declared is None else declared.type
    return _object(kind.name, schema.of(kind.definition).child)


class _Fields(dict[str, tuple[str, Type]]):
    """The fields of a definition, each made when it is first named: definitions are recursive."""

    def __init__(self, name: str, child: Callable[[str], Node | None]) -> None:
        super().__init__()
        self._name = name
        self._child = child

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            plain = unescape(name)
            node = self._child(plain)
            type_ = None if node is None else _of_node(node, f"{self._name}.{plain}")
            if type_ is None:
                return default
            self[name] = plain, type_
        return self[name]


def _object(name: str, child: Callable[[str], Node | None]) -> Type:
    return Type("object", (), name, Declaration(_Fields(name, child)))


def _of_node(node: Node, name: str) -> Type | None:
    """None for what expressions cannot see, as quantities and what is made of them."""
    match node:
        case Ref():
            return _object(name, node.child)
        case List() if node.items is not None:
            item = _of_node(node.items, f"{name}.@idx")
            return None if item is None else t.list_of(item)
        case Map() if node.items is not None:
            value = _of_node(node.items, f"{name}.@elem")
            return None if value is None else t.map_of(t.STRING, value)
        case Scalar():
            return t.STRING if node.type is str else t.BOOL
        case Integer():
            return t.INT
        case Number():
            return t.DOUBLE
        case Bytes():
            return t.BYTES
        case Text() if "Time" in node.go_type:
            return t.TIMESTAMP
        case Text() if "Quantity" in node.go_type:
            return None
        case Text():
            return t.STRING
        case Any_() if node.go_type in _EMPTY:
            return _object(name, lambda _: None)
        case Any_():
            return None
    return t.DYN
