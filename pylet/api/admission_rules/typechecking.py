"""Type checks of a ValidatingAdmissionPolicy's expressions against the schemas of what it is about.

They only warn: the policy runs whatever they find.
Source: apiserver pkg/admission/plugin/policy/validating/typechecking.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from pylet.api import schema
from pylet.api.cel import types as t
from pylet.api.cel.declared import declare_schema
from pylet.api.cel.environment import Environment, Unfit, admission, compile
from pylet.api.cel.names import unescape
from pylet.api.cel.types import Declaration, Type
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.schema.node import Bytes, Integer, List, Map, Node, Number, Ref, Scalar, Text

_MOST_KINDS = 10
_NOT_COMPILED = "compilation failed: "

Find = Callable[[str, str, str], Kind | None]


def expression_warnings(policy: Object, by_resource: Find, by_kind: Find) -> list[Object]:
    """The ExpressionWarnings of its status; the functions find served kinds."""
    spec = policy["spec"]
    kinds = _kinds_of(spec, by_resource)
    if not kinds:
        return []
    parameters = _parameters(spec, by_kind)
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


def _kinds_of(spec: Object, by_resource: Find) -> list[Kind]:
    """The kinds its rules name; who names all is not checked, and nobody for more than ten."""
    found: dict[Kind, None] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = (sorted(rule.get(name) or ()) for name in ("apiGroups", "apiVersions"))
        if any("*" in word for word in (*groups, *versions)):
            continue
        resources = sorted(one for one in rule.get("resources") or () if not set(one) & set("*/"))
        matching = (by_resource(g, v, r) for g in groups for v in versions for r in resources)
        for kind in [kind for kind in matching if kind is not None][:_MOST_KINDS]:
            found[kind] = None
    return sorted(found, key=lambda kind: (kind.group, kind.version, kind.name))[:_MOST_KINDS]


def _parameters(spec: Object, by_kind: Find) -> Type | None:
    named = spec.get("paramKind")
    if named is None:
        return None
    group, _, version = named["apiVersion"].rpartition("/")
    kind = by_kind(group, version, named["kind"])
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

    def __init__(self, child: Callable[[str], Node | None]) -> None:
        super().__init__()
        self._child = child

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            plain = unescape(name)
            node = self._child(plain)
            if node is None:
                return default
            self[name] = plain, _of_node(node, plain)
        return self[name]


def _object(name: str, child: Callable[[str], Node | None]) -> Type:
    return Type("object", (), name, Declaration(_Fields(child)))


def _of_node(node: Node, name: str) -> Type:
    match node:
        case Ref():
            return _object(node.definition.rpartition(".")[2], node.child)
        case List() if node.items is not None:
            return t.list_of(_of_node(node.items, name))
        case Map() if node.items is not None:
            return t.map_of(t.STRING, _of_node(node.items, name))
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
        case Text() if "Duration" in node.go_type:
            return t.STRING
    return t.DYN


def finder(custom: Iterable[Kind], built_in: Find, word: str) -> Find:
    """Finds built-in kinds and those of `custom`, by their attribute `word`: `plural` or `name`."""

    def find(group: str, version: str, name: str) -> Kind | None:
        found = built_in(group, version, name)
        if found is not None:
            return found
        wanted = group, version, name
        return next((kind for kind in custom if (kind.group, kind.version, getattr(kind, word)) == wanted), None)

    return find
