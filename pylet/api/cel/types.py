"""CEL's static types, when one can stand for another, and how upstream's messages write them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True, slots=True)
class Type:
    """`kind` is `int`, `list`, `object`, `param` and so on; `name` tells objects and opaque types apart."""

    kind: str
    params: tuple[Type, ...] = ()
    name: str = ""
    declaration: Declaration | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        if self.kind in ("object", "opaque", "param"):
            base = self.name
        else:
            base = "null" if self.kind == "null_type" else self.kind
        return f"{base}({', '.join(map(str, self.params))})" if self.params else base

    @property
    def type_name(self) -> str:
        """What `string(type(x))` and run-time errors say."""
        if self.kind in ("timestamp", "duration"):
            return f"google.protobuf.{self.kind.capitalize()}"
        return self.name or self.kind


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """What an object type's fields are: escaped name → (name in the object, type)."""

    fields: dict[str, tuple[str, Type]]

    def find(self, name: str) -> tuple[str, Type] | None:
        """A field by its escaped name; one named as a keyword is found by its own name, too."""
        return self.fields.get(name) or self.fields.get(f"__{name}__")


BOOL, INT, UINT, DOUBLE = Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES, NULL, DYN, ERROR = Type("string"), Type("bytes"), Type("null_type"), Type("dyn"), Type("error")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")
TYPE = Type("type")
SIMPLE = {
    kind.kind: kind for kind in (BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, DYN, TIMESTAMP, DURATION, TYPE)
} | {"null": NULL}


def list_of(item: Type) -> Type:
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def optional_of(item: Type) -> Type:
    return Type("opaque", (item,), "optional_type")


def opaque(name: str) -> Type:
    return Type("opaque", (), name)


@cache
def parse_type(text: str) -> Type:
    """The type a declaration writes, `map(string, A)`: one capital letter is a type parameter."""
    head, _, rest = text.partition("(")
    params = tuple(parse_type(part) for part in split_types(rest[:-1])) if rest else ()
    if head in SIMPLE and not params:
        return SIMPLE[head]
    if head in ("list", "map", "type"):
        return Type(head, params)
    if re.fullmatch("[A-Z]", head):
        return Type("param", (), head)
    return optional_of(*params) if head == "optional" else Type("opaque", params, head)


def split_types(text: str) -> list[str]:
    """The parts of `text` between the commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()] if text else []


Bindings = dict[str, Type]


def substitute(kind: Type, bindings: Bindings, *, free_to_dyn: bool = False) -> Type:
    """`kind` with its type parameters filled in as far as they are bound."""
    if kind.kind == "param":
        bound = bindings.get(kind.name)
        if bound is not None:
            return substitute(bound, bindings, free_to_dyn=free_to_dyn)
        return DYN if free_to_dyn else kind
    if not kind.params:
        return kind
    params = tuple(substitute(param, bindings, free_to_dyn=free_to_dyn) for param in kind.params)
    return kind if params == kind.params else Type(kind.kind, params, kind.name, kind.declaration)


def assignable(bindings: Bindings, actual: Type, wanted: Type) -> Bindings | None:
    """`bindings` grown so that `actual` can stand where `wanted` is; None when it cannot (checker/types.go)."""
    grown = dict(bindings)
    return grown if _assign(grown, actual, wanted) else None


def _assign(bindings: Bindings, actual: Type, wanted: Type) -> bool:
    if actual == wanted:
        return True
    if wanted.kind == "param":
        fits = _bind(bindings, actual, wanted)
        if fits is not None:
            return fits
    if actual.kind == "param":
        return bool(_bind(bindings, wanted, actual))
    if actual.kind in ("dyn", "error") or wanted.kind in ("dyn", "error"):
        return True
    if actual.kind == "null_type":
        return wanted.kind in ("opaque", "object", "timestamp", "duration")
    if actual.kind == "type" and wanted.kind == "type":
        return True
    if (actual.kind, actual.name, len(actual.params)) != (wanted.kind, wanted.name, len(wanted.params)):
        return False
    return all(_assign(bindings, one, other) for one, other in zip(actual.params, wanted.params, strict=True))


def _bind(bindings: Bindings, kind: Type, param: Type) -> bool | None:
    """Whether `param` may stand for `kind`; None when it is not bound yet and would refer to itself."""
    bound = bindings.get(param.name)
    if bound is not None:
        if not _assign(bindings, kind, bound):
            return False
        if _as_general(kind, bound):
            bindings[param.name] = kind
        return True
    if _refers(bindings, kind, param.name):
        return None
    bindings[param.name] = kind
    return True


def _refers(bindings: Bindings, kind: Type, name: str) -> bool:
    if kind.kind == "param":
        return kind.name == name or (kind.name in bindings and _refers(bindings, bindings[kind.name], name))
    return any(_refers(bindings, param, name) for param in kind.params)


def _as_general(one: Type, other: Type) -> bool:
    """Whether `one` says as little as `other`, or less."""
    if one.kind in ("dyn", "param"):
        return True
    if other.kind in ("dyn", "param") or (one.kind, len(one.params)) != (other.kind, len(other.params)):
        return other.kind == "null_type"
    return all(_as_general(a, b) for a, b in zip(one.params, other.params, strict=True))


def most_general(one: Type, other: Type) -> Type:
    return one if _as_general(one, other) else other
