"""What `kubectl explain` says of a kind or a field, out of an OpenAPI v3 document. Pure.

Source of the layout: kubectl `pkg/explain/v2/templates/plaintext.tmpl`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure

_WIDTH = 78
_ENUMS_SHOWN = 4


class Explanation:
    """One document being explained."""

    def __init__(self, document: Object, *, recursive: bool) -> None:
        self._schemas: Object = document.get("components", {}).get("schemas", {})
        self._recursive = recursive

    def text(self, gvk: Object, path: Sequence[str]) -> str:
        """Raises: Failure, for a kind or field that is not there; its message has all that is known before it."""
        head = f"GROUP:      {gvk['group']}\n" if gvk.get("group") else ""
        head += f"KIND:       {gvk['kind']}\nVERSION:    {gvk['version']}\n\n"
        for schema in self._schemas.values():
            if gvk in schema.get("x-kubernetes-group-version-kind", ()):
                body = self._output(schema, path, set())
                if body is None:
                    print(head, end="")
                    raise Failure(f'error: field "{path[-1]}" does not exist')
                return head + body + "\n"
        raise Failure(f"error: GVK {gvk} not found in OpenAPI schema")

    def _resolved(self, schema: Object) -> Object:
        name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
        found: Object = self._schemas.get(name, schema)
        return found

    def _output(self, schema: Object, path: Sequence[str], seen: set[str]) -> str | None:
        ref = schema.get("$ref", "")
        resolved = self._resolved(schema)
        if not path:
            return self._whole(resolved)
        if ref and ref in seen:
            return None
        seen = seen | {ref}
        first, rest = path[0], path[1:]
        if first in resolved.get("properties", {}):
            below = resolved["properties"][first]
            head = "" if rest else f"FIELD: {first} <{self._type(below)}>\n{_enum(below, -1, None)}\n\n"
            body = self._output(below, rest, set())
            return None if body is None else head + body
        for inner in _inner(resolved):
            if (body := self._output(inner, path, seen)) is not None:
                return body
        return None

    def _whole(self, schema: Object) -> str:
        description = "".join(f"{text}\n" for text in self._descriptions(schema))
        text = "DESCRIPTION:\n" + _indent(wrap(description or "<empty>", _WIDTH - 2), 4) + "\n"
        fields = "".join(self._fields(schema, 1, frozenset()))
        return text + (f"FIELDS:\n{fields}" if fields else "")

    def _descriptions(self, schema: Object) -> Iterator[str]:
        resolved = self._resolved(schema)
        if resolved.get("description"):
            yield resolved["description"]
        for inner in (*resolved.get("allOf", ()), *_containers(resolved)):
            yield from self._descriptions(inner)

    def _fields(self, schema: Object, level: int, seen: frozenset[str]) -> Iterator[str]:
        ref = schema.get("$ref", "")
        if ref and ref in seen:
            return
        seen |= {ref}
        resolved = self._resolved(schema)
        for name, field in sorted(resolved.get("properties", {}).items()):
            yield self._field(name, field, level, required=name in resolved.get("required", ()))
            if self._recursive:
                yield from self._fields(field, level + 1, seen)
        for inner in (*resolved.get("allOf", ()), *_containers(resolved)):
            yield from self._fields(inner, level, seen)

    def _field(self, name: str, schema: Object, level: int, *, required: bool) -> str:
        indent = level * 2
        text = f"{' ' * indent}{name}\t<{self._type(schema)}>{' -required-' if required else ''}"
        text += _enum(schema, _ENUMS_SHOWN, indent) + "\n"
        if not self._recursive:
            description = schema.get("description") or "<no description>"
            text += _indent(wrap(description, _WIDTH - indent), indent + 2) + "\n\n"
        return text

    def _type(self, schema: Object) -> str:
        if "items" in schema:
            return f"[]{self._type(schema['items'])}"
        if containers := _containers(schema):
            return f"map[string]{self._type(containers[0])}"
        if len(schema.get("allOf", ())) == 1 and not schema.get("properties"):
            return self._type(schema["allOf"][0])
        if "$ref" in schema:
            resolved = self._resolved(schema)
            if resolved.get("type", "object") == "object":
                return str(schema["$ref"]).rsplit("/", 1)[-1].rsplit(".", 1)[-1] or "Object"
            return str(resolved["type"])
        return "Object" if schema.get("type", "object") == "object" else str(schema["type"])


def _containers(schema: Object) -> list[Object]:
    """The schema of what a list or map holds."""
    found: list[Any] = [schema.get("items"), schema.get("additionalProperties")]
    return [inner for inner in found if isinstance(inner, dict)]


def _inner(schema: Object) -> list[Object]:
    """Where to go on looking for a field: into the list or map, else into the alternatives."""
    return _containers(schema)[:1] or list(schema.get("allOf", ()))


def _enum(schema: Object, limit: int, indent: int | None) -> str:
    """On one line below a field in a list; one a line, where the field stands alone (`indent` None)."""
    values = ['""' if value == "" else str(value) for value in schema.get("enum") or ()]
    if not values:
        return ""
    if indent is None:
        return "ENUM:" + "".join(f"\n    {value}" for value in values)
    shown = ", ".join(values[:limit]) + (", ...." if len(values) > limit else "")
    return f"\n{' ' * indent}enum: {shown}"


def _indent(text: str, amount: int) -> str:
    return " " * amount + text.replace("\n", "\n" + " " * amount)


def wrap(text: str, width: int) -> str:
    """Lines of at most `width`, broken between words; spaces inside a line and newlines stay."""
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def _wrapped(line: str, width: int) -> str:
    lines = [""]
    for space, word in re.findall(r"(\s*)(\S+)", line):
        if lines[-1] and len(lines[-1]) + len(space) + len(word) > width:
            lines.append(word)
        else:
            lines[-1] += space + word
    return "\n".join(lines)
