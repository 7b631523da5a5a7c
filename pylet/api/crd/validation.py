"""Whether a custom object satisfies its schema, in upstream's words.

On an update what did not change is not blamed (ratcheting): `old` is the value at the same place before, UNSET where
there was none or lists do not let it be told. Results carry how many checks passed through a node, by which the most
telling of several failed alternatives is chosen.
Source: kube-openapi pkg/validation/validate, apiextensions-apiserver pkg/apiserver/validation.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import orjson

from pylet.api import causes
from pylet.api.crd import formats
from pylet.api.crd.structural import UNSET, Structural
from pylet.api.errors import Cause

_TYPES = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", type(None): "null",
}  # fmt: skip
_INT32, _SAFE, _INT64 = 1 << 31, 1 << 53, 1 << 63


class Result(NamedTuple):
    causes: list[Cause]
    matched: int


def validate(value: Any, node: Structural, path: str = "", old: Any = UNSET) -> list[Cause]:
    """What is wrong with `value`, whose place is `path`."""
    return _check(value, node, path, old).causes


def _check(value: Any, node: Structural, path: str, old: Any) -> Result:
    found, matched = _against(value, node, path, old)
    if found and old is not UNSET and path not in ("kind", "apiVersion") and _unchanged(value, old, node):
        return Result([], matched)
    return Result(found, matched)


def _against(value: Any, node: Structural, path: str, old: Any) -> Result:
    found: list[Cause] = []
    if value.__class__ is int and not -_INT64 <= value < _INT64:
        value = float(value)  # as Go reads it
    type_ = _TYPES[value.__class__]
    if value is None:
        if (node.type or node.int_or_string) and not node.nullable:
            found.append(type_invalid(path, _type_name(node), "null"))
        elif "enum" in node.checks:
            found += _enum(None, node.checks["enum"], path, nullable=node.nullable)
        return Result(found, 1)
    checks = node.checks
    format_ = formats.known(node.type, checks["format"]) if "format" in checks else ""
    matched = 2
    found += _type(value, type_, node, format_, path)
    if node.logic:
        matched += _logic(value, node, path, old, found)
    if checks:
        matched += 1
        match type_:
            case "string":
                found += _string(value, checks, path)
                if format_ and node.type in ("", "string") and not formats.valid(format_, value):
                    found.append(type_invalid(path, checks["format"], value))
            case "integer" | "number":
                found += _number(value, checks, node.type, format_, path)
    elif type_ == "number" and node.type == "integer":
        found += _number(value, checks, node.type, format_, path)
    if type_ == "array":
        matched += _items(value, node, path, old, found)
    if "enum" in checks:
        found += _enum(value, checks["enum"], path)
    if type_ == "object":
        matched += _fields(value, node, path, old, found)
    return Result(found, matched)


def _type_name(node: Structural) -> str:
    return "integer,string" if node.int_or_string else node.type


def type_invalid(path: str, type_: str, value: Any) -> Cause:
    shown = causes.invalid(path, value, f"{path} in body must be of type {type_}: {causes.quoted(value)}")
    return Cause("FieldValueTypeInvalid", shown.message, shown.field)


def _type(value: Any, type_: str, node: Structural, format_: str, path: str) -> list[Cause]:
    wanted = ("integer", "string") if node.int_or_string else (node.type,) if node.type else ()
    if not wanted and not format_:
        return []
    fits = (
        type_ in wanted
        or (type_ == "integer" and "number" in wanted)
        or (type_ == "number" and "integer" in wanted and value.is_integer() and abs(value) < _SAFE)
    )
    if fits:
        return []
    if type_ not in ("string", "array") and format_:
        return [type_invalid(path, format_, "int64" if type_ == "integer" else "float64" if type_ == "number" else "")]
    if format_ and type_ in ("string", "array") and not {"number", "integer"} & set(wanted):
        return []
    return [type_invalid(path, _type_name(node), type_)]


def _logic(value: Any, node: Structural, path: str, old: Any, found: list[Cause]) -> int:
    """anyOf, oneOf, allOf and not, in upstream's order; answers the checks counted."""
    matched = 1
    for word in ("anyOf", "oneOf"):
        alternatives = node.logic.get(word)
        if not alternatives:
            continue
        results = [_check(value, inner, path, old) for inner in alternatives]
        valid = [result for result in results if not result.causes]
        if word == "anyOf" and not valid:
            found.append(_of_all(f"{causes.quoted(path)} must validate at least one schema (anyOf)"))
        elif word == "oneOf" and len(valid) != 1:
            why = f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
            found.append(_of_all(f"{causes.quoted(path)} must validate one and only one schema (oneOf). {why}"))
        best = valid[0] if valid else max(results, key=lambda result: result.matched)
        found += best.causes
        matched += best.matched
    if all_of := node.logic.get("allOf"):
        results = [_check(value, inner, path, old) for inner in all_of]
        for result in results:
            found += result.causes
            matched += result.matched
        failed = sum(bool(result.causes) for result in results)
        if failed:
            none = ". None validated" if failed == len(results) else ""
            found.append(_of_all(f"{causes.quoted(path)} must validate all the schemas (allOf){none}"))
    for inner in node.logic.get("not", ()):
        if not _check(value, inner, path, UNSET).causes:
            found.append(_of_all(f"{causes.quoted(path)} must not validate the schema (not)"))
    return matched


def _of_all(says: str) -> Cause:
    """Upstream loses the path of what combines schemas."""
    return causes.invalid("<nil>", "", says)


def _string(value: str, checks: dict[str, Any], path: str) -> list[Cause]:
    longest, least, pattern = checks.get("maxLength"), checks.get("minLength"), checks.get("pattern")
    if longest is not None and len(value) > longest:
        return [causes.too_long(path, longest)]
    if least is not None and len(value) < least:
        return [causes.invalid(path, value, f"{path} in body should be at least {least} chars long")]
    if pattern and not formats.matches(pattern, value):
        return [causes.invalid(path, value, f"{path} in body should match '{pattern}'")]
    return []


def _number(value: float, checks: dict[str, Any], type_: str, format_: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    bound = _INT32 if format_ == "int32" else _INT64
    if type_ == "integer" and (not -bound <= value < bound or value != int(value)):
        which = f"integer with format {format_}" if format_ else "integer (default format)"
        found.append(causes.invalid("<nil>", "", f"Checked value must be of type {which} in {path}"))
    factor = checks.get("multipleOf")
    if factor is not None and isinstance(value, int) and int(factor) <= 0:  # upstream cuts off the fraction
        says = f"factor MultipleOf declared for {path} must be positive: {int(factor)}"
        found.append(causes.invalid(path, int(factor), says))
    elif factor is not None and not _is_multiple(value, factor):
        found.append(causes.invalid(path, value, f"{path} in body should be a multiple of {_go(factor)}"))
    for word, less in (("maximum", False), ("minimum", True)):
        limit = checks.get(word)
        if limit is None:
            continue
        if isinstance(value, int):
            limit = int(limit)
        exclusive = bool(checks.get("exclusiveMinimum" if less else "exclusiveMaximum"))
        beyond = value < limit if less else value > limit
        if beyond or (exclusive and value == limit):
            relation = "greater" if less else "less"
            says = f"{relation} than {'' if exclusive else 'or equal to '}{_go(limit)}"
            found.append(causes.invalid(path, value, f"{path} in body should be {says}"))
    return found


def _is_multiple(value: float, factor: float) -> bool:
    if isinstance(value, int):
        return value % int(factor) == 0
    quotient = value * (1 / factor) if factor < 1 else value / factor
    return abs(quotient) < _SAFE and math.isclose(quotient, round(quotient), rel_tol=1e-9, abs_tol=1e-9)


def _go(number: float) -> str:
    """As Go's %v."""
    if isinstance(number, int) or (number.is_integer() and abs(number) < 1e21):
        return str(int(number))
    return repr(number)


def _enum(value: Any, allowed: list[Any], path: str, *, nullable: bool = False) -> list[Cause]:
    if any(_equal(value, one) for one in allowed) or (value is None and nullable):
        return []
    shown = [one if isinstance(one, str) else orjson.dumps(one).decode() for one in allowed]
    return [causes.not_supported(path, "" if value is None else value, shown)]


def _items(value: list[Any], node: Structural, path: str, old: Any, found: list[Cause]) -> int:
    matched, checks = 1, node.checks
    if node.item is not None:
        before = _by_keys(old, node) if old is not UNSET and node.list_type == "map" else {}
        for position, inner in enumerate(value):
            was = before.get(_key(inner, node), UNSET) if before else UNSET
            result = _check(inner, node.item, f"{path}[{position}]", was)
            found += result.causes
            matched += result.matched
    size = len(value)
    least, most = checks.get("minItems"), checks.get("maxItems")
    if least is not None and size < least:
        found.append(causes.invalid(path, size, f"{path} in body should have at least {least} items"))
    if most is not None and size > most:
        found.append(causes.too_many(path, size, most))
    if checks.get("uniqueItems") and any(_equal(value[i], value[j]) for i in range(size) for j in range(i)):
        found.append(causes.invalid(path, "", f"{path} in body shouldn't contain duplicates"))
    return matched


def _by_keys(old: Any, node: Structural) -> dict[bytes, Any]:
    return {_key(item, node): item for item in old} if isinstance(old, list) else {}


def _key(item: Any, node: Structural) -> bytes:
    if not isinstance(item, dict):
        return b""
    return orjson.dumps([item.get(name) for name in node.map_keys], option=orjson.OPT_SORT_KEYS)


def _fields(value: dict[str, Any], node: Structural, path: str, old: Any, found: list[Cause]) -> int:
    matched, checks, size = 1, node.checks, len(value)
    least, most = checks.get("minProperties"), checks.get("maxProperties")
    if least is not None and size < least:
        found.append(causes.invalid(path, size, f"{path} in body should have at least {least} properties"))
    if most is not None and size > most:
        found.append(causes.too_many(path, size, most))
    properties = node.properties
    # Map values come first, then fields: upstream's order as far as it has one.
    if node.additional is not None:
        for name, inner in value.items():
            if name not in properties:
                result = _check(inner, node.additional, f"{path}.{name}", _before(old, name))
                found += result.causes
                matched += result.matched
    for name, known in properties.items():
        if name in value:
            result = _check(value[name], known, f"{path}.{name}" if path else name, _before(old, name))
            found += result.causes
            matched += result.matched
    for name in checks.get("required") or ():
        if name not in value:
            found.append(causes.required(f"{path}.{name}".lstrip(".")))
    return matched


def _before(old: Any, name: str) -> Any:
    return old.get(name, UNSET) if isinstance(old, dict) else UNSET


def _unchanged(value: Any, old: Any, node: Structural | None) -> bool:
    """As far as the schema says what belongs together: what it does not declare counts as changed, and so does a whole
    object, whose metadata no schema declares; elements of a map may have changed places.

    Source: apiserver pkg/cel/common/equality.go, CachedDeepEqual.
    """
    if isinstance(value, dict) and isinstance(old, dict):
        return len(value) == len(old) and all(
            name in old
            and node is not None
            and (inner := node.of(name)) is not None
            and _unchanged(one, old[name], inner)
            for name, one in value.items()
        )
    if isinstance(value, list) and isinstance(old, list) and node is not None and node.list_type == "map":
        before = _by_keys(old, node)
        return len(value) == len(old) and all(
            (was := before.get(_key(one, node))) is not None and _unchanged(one, was, node.item) for one in value
        )
    return _equal(value, old)


def _equal(one: Any, other: Any) -> bool:
    if one.__class__ is not other.__class__:
        numbers = (int, float)
        return one.__class__ in numbers and other.__class__ in numbers and one == other
    if one != other:
        return False
    if one.__class__ in (dict, list):  # == takes True for 1
        return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    return True


def list_problems(value: Any, node: Structural | None, path: str = "") -> list[Cause]:
    """Elements of sets and maps that are there twice. Source: apiserver/schema/listtype."""
    found: list[Cause] = []
    if node is None:
        return found
    if value.__class__ is dict:
        for name, inner in value.items():
            if inner.__class__ is dict or inner.__class__ is list:
                in_map = name not in node.properties
                where = f"{path}[{name}]" if in_map else f"{path}.{name}" if path else name
                found += list_problems(inner, node.of(name), where)
    elif value.__class__ is list:
        if node.list_type == "set":
            found += [causes.duplicate(f"{path}[{at}]", value[at]) for at in _repeated(value)]
        elif node.list_type == "map":
            found += _map_problems(value, node, path)
        for position, inner in enumerate(value):
            found += list_problems(inner, node.item, f"{path}[{position}]")
    return found


def _map_problems(value: list[Any], node: Structural, path: str) -> list[Cause]:
    for position, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            says = "must be an object for an array of list-type map"
            return [causes.invalid(f"{path}[{position}]", item, says)]
    keys = [{name: item[name] for name in node.map_keys if name in item} if item else {} for item in value]
    return [causes.duplicate(f"{path}[{at}]", keys[at]) for at in _repeated(keys)]


def _repeated(values: list[Any]) -> list[int]:
    """Where a value appears for the second time."""
    seen: dict[bytes, int] = {}
    found: list[int] = []
    for position, value in enumerate(values):
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            found.append(position)
    return found
