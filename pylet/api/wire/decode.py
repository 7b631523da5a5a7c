"""Bodies of requests become objects: strict JSON and YAML, with upstream's words for what cannot be understood.

Duplicate fields are found at next to no cost: what decoding drops is missing when the result is encoded again, and the
number of quotation marks tells; only then is the text read again, slowly, to name them.

Sources: apimachinery pkg/runtime/serializer/json, apiserver pkg/endpoints/handlers/{create,rest}.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from pylet.api import causes, schema
from pylet.api.errors import BadRequest, Invalid, RequestEntityTooLarge
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.wire import registered, strict
from pylet.api.wire.weight import FIELD, MOST, OBJECT, VALUE

JSON_TYPE = "application/json"
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
PROTOBUF_TYPE = "application/vnd.kubernetes.protobuf"
STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"
_MOST_STRICT_ERRORS = 100
_OLD_EVICTION = ("Eviction", "policy/v1beta1")  # says the same in a version that bodies may still have
_UNMARSHAL = "yaml: unmarshal errors:"
NO_KIND = "couldn't get version/kind; json parse error: "
TYPE_META = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]')
_MOST_MARKS = 100_000
_MOST_DEPTH = 238  # orjson encodes 254 levels
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*+"')


class Document(NamedTuple):
    """Decoded JSON or YAML, and what is told of fields that were written twice, in YAML of their lines."""

    value: Any
    duplicates: Sequence[str] = ()


def parse(raw: bytes, content_type: str = JSON_TYPE) -> Document:
    """Raises: BadRequest, RequestEntityTooLarge."""
    if content_type in YAML_TYPES:
        from pylet.api.wire import yaml

        return Document(*yaml.load(raw))
    if OBJECT * len(raw) > MOST:
        _weigh(raw)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as bad:
        text = raw.decode(errors="replace").encode()
        if text != raw:  # Go takes what is no UTF-8 for U+FFFD
            return parse(text)
        raise BadRequest(_go_words(raw, bad)) from bad
    try:
        return Document(value, _duplicates(raw, value))
    except TypeError as deep:
        raise BadRequest(_too_deep(raw) or f"{NO_KIND}exceeded max depth") from deep


def _weigh(raw: bytes) -> None:
    """Raises: BadRequest, RequestEntityTooLarge, for more fields and values than an object has that is no attack."""
    weight = _weight(raw)
    texts = _TEXTS.finditer(raw)
    while weight > MOST:
        if (text := next(texts, None)) is None:
            if deep := _too_deep(raw):
                raise BadRequest(deep)
            says = f"it has more than {MOST // FIELD} fields, {MOST // OBJECT} objects or {MOST // VALUE} values"
            raise RequestEntityTooLarge(f"Request entity too large: {says}")
        weight -= _weight(text[0])


def _weight(raw: bytes) -> int:
    values, fields, objects = raw.count(b",") + raw.count(b"["), raw.count(b":"), raw.count(b"{")
    return VALUE * values + (FIELD - VALUE) * fields + (OBJECT - VALUE) * objects


def in_yaml(duplicates: Sequence[str]) -> str:
    """The one problem that a configuration to apply, with these duplicates, has."""
    return "\n  ".join([f"error converting YAML to JSON: {_UNMARSHAL}", *duplicates])


def of_kind(kind: Kind, raw: bytes, content_type: str = JSON_TYPE, validation: str = WARN) -> tuple[Object, list[str]]:
    """A request's body as a canonical object of that kind, and texts for `Warning` headers.

    `validation` is the query's fieldValidation: Strict, Warn, Ignore, or "" for Warn. Raises: BadRequest.
    """
    try:
        document = _envelope(raw) if content_type == PROTOBUF_TYPE else parse(raw, content_type)
        obj = _object(document)
        _check_words(obj)
    except BadRequest as bad:
        unrecognized = f"the object provided is unrecognized (must be of type {kind.name})"
        why = bad.message.removeprefix("error converting YAML to JSON: ")
        raise BadRequest(f"{unrecognized}: {why} ({_summary(raw)})") from bad
    if kind.schema is not None:
        _check_type_meta(kind, obj, raw)
    named = obj["kind"] = obj.get("kind") or kind.name
    version = obj.get("apiVersion") or kind.api_version
    if version.count("/") == 1:
        version = version.removeprefix("/")  # a way to write the core group
    obj["apiVersion"] = version
    if (named, version) == _OLD_EVICTION and kind.name == named:
        version = obj["apiVersion"] = kind.api_version
    if (named, version) != (kind.name, kind.api_version):
        raise BadRequest(_wrong_kind(kind, named, version))
    if content_type == PROTOBUF_TYPE:
        obj |= _message(kind, raw)
    is_yaml, twice = content_type in YAML_TYPES, document.duplicates
    text = orjson.dumps(obj, option=orjson.OPT_SORT_KEYS) if is_yaml else raw
    unknown = canonicalize(kind, obj)
    if validation == IGNORE or not (unknown or twice):
        return obj, []
    if validation != STRICT:
        return obj, _problems(kind, unknown, twice, text, is_yaml=is_yaml)[:_MOST_STRICT_ERRORS]
    if twice and is_yaml:
        twice = ["\n  ".join([_UNMARSHAL, *twice])]
    problems = _problems(kind, unknown, twice, text, is_yaml=is_yaml)
    raise BadRequest(f"{_cannot(kind)}strict decoding error: {', '.join(problems[:_MOST_STRICT_ERRORS])}")


def options(definition: str, raw: bytes, content_type: str = JSON_TYPE) -> Object:
    """A body that says how, not what: an object of that definition, whose unknown fields go. Raises: BadRequest."""
    obj = _object(_envelope(raw) if content_type == PROTOBUF_TYPE else parse(raw, content_type))
    _check_words(obj)
    wanted = definition.rpartition(".")[2]
    named = obj.get("kind") or wanted
    if named in registered.UNVERSIONED:
        raise BadRequest(f"converting (v1.{named}) to (v1.{wanted}): unknown conversion")
    if named != wanted:
        scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"
        version = obj.get("apiVersion") or "meta.k8s.io/v1"
        raise BadRequest(f'no kind "{named}" is registered for version "{version}" in scheme "{scheme}"')
    try:
        if content_type == PROTOBUF_TYPE:
            from pylet.api.wire import protobuf

            obj |= protobuf.body(raw, definition)
        schema.of(definition).decode(obj)
    except (ValueError, KeyError) as bad:
        raise BadRequest(str(bad)) from bad
    return obj


def recognized(raw: bytes) -> Object:
    """An object in JSON, or else in YAML: whichever its text looks like. Raises: BadRequest."""
    return recognize(raw).value  # type: ignore[no-any-return]


def recognize(raw: bytes) -> Document:
    """As `recognized`, with what is told of fields that were written twice. Raises: BadRequest."""
    document = parse(raw, JSON_TYPE if is_json(raw) else YAML_TYPES[0])
    _check_words(obj := _object(document))
    return document._replace(value=obj)


def is_json(raw: bytes) -> bool:
    """Whether a text looks like an object in JSON."""
    return raw.lstrip()[:1] == b"{"


def _object(document: Document) -> Object:
    """Raises: BadRequest."""
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        raise BadRequest(f"{NO_KIND}{schema.Mismatch(value, TYPE_META)}")
    return value


def _check_type_meta(kind: Kind, obj: Object, raw: bytes) -> None:
    """Custom resources have to say what they are, and are judged by it. Raises: BadRequest, Invalid."""
    if not obj.get("kind"):
        told = raw.decode(errors="replace").strip()
        unrecognized = f"the object provided is unrecognized (must be of type {kind.name})"
        raise BadRequest(f"{unrecognized}: Object 'Kind' is missing in '{told}' ({_summary(raw)})")
    named, version = obj["kind"], obj.get("apiVersion") or ""
    if named != kind.name and version == kind.api_version:
        name = (obj.get("metadata") or {}).get("name") or ""
        raise Invalid(kind.group, str(named), name, (causes.invalid("kind", named, f"must be {kind.name}"),))
    if version != kind.api_version:
        raise BadRequest(_wrong_version(kind, version))


def _envelope(raw: bytes) -> Document:
    """Kind and apiVersion. Raises: BadRequest."""
    from pylet.api.wire import protobuf

    try:
        return Document(protobuf.head(raw))
    except ValueError as bad:
        raise BadRequest(str(bad)) from bad


def _message(kind: Kind, raw: bytes) -> Object:
    from pylet.api.wire import protobuf

    try:
        return protobuf.body(raw, kind.definition)
    except (ValueError, KeyError) as bad:
        raise BadRequest(_cannot(kind) + str(bad)) from bad


def _cannot(kind: Kind) -> str:
    return f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '


def canonicalize(kind: Kind, obj: Object) -> list[str]:
    """Decode `obj` by its kind's schema, in place; answers unknown paths. Raises: BadRequest, for the wrong types."""
    try:
        return schema.of_kind(kind).decode(obj)
    except ValueError as bad:
        raise BadRequest(_cannot(kind) + str(bad)) from bad


def _problems(kind: Kind, unknown: Sequence[str], twice: Sequence[str], text: bytes, *, is_yaml: bool) -> list[str]:
    """All that is odd about a body, whose JSON is `text`: YAML's has sorted fields, as upstream converts it."""
    if kind.schema is not None:
        return [*twice, *strict.unknown(unknown)]
    told = strict.in_order(unknown, text)
    return [*twice, *told] if is_yaml else told


def _summary(raw: bytes) -> str:
    if not raw:
        return "<empty>"
    head = raw[:30]
    return (head.decode(errors="replace") if raw[:1] == b"{" else head.hex()) + (" ..." if len(raw) > 30 else "")


def _check_words(obj: Object) -> None:
    """Whether kind and apiVersion can be read. Raises: BadRequest."""
    for field in ("apiVersion", "kind"):
        if not isinstance(obj.get(field) or "", str):
            what = str(schema.Mismatch(obj[field], "string")).partition(" into ")[0]
            raise BadRequest(f"{NO_KIND}{what} into Go struct field .{field} of type string")
    version = obj.get("apiVersion") or ""
    if version.count("/") > 1:
        raise BadRequest(f"unexpected GroupVersion string: {version}")


def _wrong_version(kind: Kind, version: str) -> str:
    return f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"


def _wrong_kind(kind: Kind, named: str, version: str) -> str:
    why = registered.not_registered(kind, version, named)
    if not why and named == kind.name:
        return _wrong_version(kind, version)
    why = why or registered.not_converted(kind, version, named)
    return f'{named} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.name}: {why}'


def _encoded(value: Any) -> bytes:
    """As deep as `value` ever lies in lists, reviews and events. Raises: TypeError, for what is nested too deep."""
    return orjson.dumps([[[[[[[[[[[[[[[[value]]]]]]]]]]]]]]]])


def check_depth(obj: Object) -> None:
    """Raises: BadRequest, for what was decoded and became nested too deep since."""
    try:
        _encoded(obj)
    except TypeError as deep:
        raise BadRequest(f"{NO_KIND}exceeded max depth") from deep


def _duplicates(raw: bytes, value: Any) -> Sequence[str]:
    """Raises: TypeError, for what is nested too deep, which encoding refuses long before decoding."""
    if _encoded(value).count(b'"') == raw.count(b'"') and rb"\u0022" not in raw:
        return ()
    return strict.twice(raw)


def _go_words(raw: bytes, bad: orjson.JSONDecodeError) -> str:
    """What Go's scanner says, as far as where it stops agrees with where orjson does."""
    if deep := _too_deep(raw):
        return deep
    text = raw.decode(errors="replace")
    if bad.pos >= len(text.rstrip()):
        return NO_KIND + "unexpected end of JSON input"
    char = text[bad.pos]
    shown = {"'": r"'\''", '"': "'\"'"}.get(char, f"'{char}'" if char.isprintable() else repr(char))
    return f"{NO_KIND}invalid character {shown} {_expected(text[: bad.pos].rstrip())}"


def _too_deep(raw: bytes) -> str:
    """What Go's scanner says of what is nested deeper than can be encoded, "" of anything else."""
    depth = 0
    for mark in islice(_MARKS.finditer(raw), _MOST_MARKS):
        depth += (mark[0] in (b"{", b"[")) - (mark[0] in (b"}", b"]"))
        if depth > _MOST_DEPTH:
            return f"{NO_KIND}invalid character '{mark[0].decode()}' exceeded max depth"
    return ""


def _expected(before: str) -> str:
    match before[-1:]:
        case "{":
            return "looking for beginning of object key string"
        case "" | ":" | "[":
            return "looking for beginning of value"
        case ",":
            in_object = before.rfind("{") > before.rfind("[")
            return "looking for beginning of " + ("object key string" if in_object else "value")
    return "after object key:value pair" if before.count("{") > before.count("}") else "after top-level value"
