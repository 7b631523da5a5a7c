"""Strings: cel-go's ext/strings.go and ext/formatting.go at version 2, and Kubernetes' `find` and `findAll`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pylet.api.cel.conversions import show
from pylet.api.cel.errors import CostExceeded, EvaluationError
from pylet.api.cel.functions import Functions, declare, regex_cost, traverse
from pylet.api.cel.re2 import compile_pattern
from pylet.api.cel.types import Type
from pylet.api.cel.values import Duration, Timestamp, UInt, format_double, type_name

MAX_RESULT = 16 << 20  # characters; upstream bounds only what is read, and a replacement can write far more
MAX_PRECISION = 1000
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(65, 91)})
_UPPER = str.maketrans({chr(code + 32): chr(code) for code in range(65, 91)})
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _range(index: int) -> EvaluationError:
    return EvaluationError(f"index out of range: {index}")


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise _range(index)
    return text[index : index + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if part == "":
        return start
    if start < 0:
        raise _range(start)
    return text.find(part, start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    if part == "":
        return len(text) if start is None else start
    if start is None:
        return text.rfind(part)
    if start < 0:
        raise _range(start)
    return -1 if start >= len(text) else text.rfind(part, 0, start + len(part))


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


def _replace_cost(text: str, old: str, new: str, count: int = -1) -> int:
    """Upstream's, which is of what is read, and of what is written where that is more."""
    found = len(text) + 1 if old == "" else text.count(old)
    written = len(text) + (found if count < 0 else min(count, found)) * (len(new) - len(old))
    if written > MAX_RESULT:
        raise CostExceeded
    return math.ceil(max(2 * len(text), written) * 0.1)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if separator == "":
        if count < 0 or count >= len(text):
            return list(text)
        return [*text[: count - 1], text[count - 1 :]]
    return text.split(separator, count - 1 if count > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is not None and start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, len(text) if end is None else end):
        if not 0 <= index <= len(text):
            raise _range(index)
    return text[start:end]


def _join(items: list[Any], separator: str = "") -> str:
    for item in items:
        if type(item) is not str:
            raise EvaluationError(f"join: invalid input: {show(item)}")
    return separator.join(items)


def _join_cost(items: list[Any], separator: str = "") -> int:
    size = sum(len(item) for item in items if type(item) is str) + len(separator) * max(len(items) - 1, 0)
    if size > MAX_RESULT:
        raise CostExceeded
    return math.ceil(size * 0.2)


_QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_QUOTES = str.maketrans({**_QUOTED, "\\": "\\\\", '"': '\\"'})


def quote(text: str) -> str:
    return f'"{text.translate(_QUOTES)}"'


def _find(text: str, pattern: str) -> str:
    span = compile_pattern(pattern).find(text, 0)
    return text[span[0] : span[1]] if span else ""


def _find_all(text: str, pattern: str, count: int = -1) -> list[str]:
    found: list[str] = []
    for start, end in compile_pattern(pattern).spans(text):
        if count >= 0 and len(found) >= count:
            break
        found.append(text[start:end])
    return found


_CLAUSE = re.compile(r"%(?:\.([0-9]*))?(.)?", re.DOTALL)


def _format(template: str, args: list[Any]) -> str:
    taken = 0
    size = 0

    def clause(match: re.Match[str]) -> str:
        nonlocal taken, size
        precision, verb = match.groups()
        if verb == "%" and precision is None:
            return "%"
        if verb is None:
            raise EvaluationError("unexpected end of string")
        if taken >= len(args):
            raise EvaluationError(f"index {taken} out of range")
        run = _VERBS.get(verb)
        if run is None:
            raise EvaluationError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')
        digits = int(precision) if precision else 6 if precision is None else 0
        if digits > MAX_PRECISION:
            raise EvaluationError(f"precision {precision} is too large")
        text = run(args[taken], digits)
        taken += 1
        size += len(text)
        if size > MAX_RESULT:
            raise CostExceeded
        return text

    text = _CLAUSE.sub(clause, template)
    if taken < len(args):
        raise EvaluationError(f"too many arguments supplied to string.format (expected {taken}, got {len(args)})")
    return text


def _unfit(verb: str, says: str, value: Any) -> EvaluationError:
    return EvaluationError(
        f"error during formatting: {verb} clause can only be used on {says}, was given {type_name(value)}"
    )


def _plain(value: Any, _: int = 0) -> str:
    match value:
        case list():
            return f"[{', '.join(map(_nested, value))}]"
        case dict():
            for key in value:
                if type(key) not in (str, bool, int, UInt):
                    raise EvaluationError(f"no formatting function for map key of type {type_name(key)}")
            pairs = sorted((_nested(key), _nested(item)) for key, item in value.items())
            return f"{{{', '.join(f'{key}:{item}' for key, item in pairs)}}}"
        case None:
            return "null"
        case bytes():
            return value.decode(errors="replace")
        case bool() | int() | float() | str() | Timestamp() | Duration():
            return format_double(value) if type(value) is float else show(value)
        case Type():
            return value.type_name
    kinds = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
    raise _unfit("string", kinds, value)


def _nested(value: Any) -> str:
    match value:
        case str():
            return quote(value)
        case bytes():
            return "b" + quote(value.decode(errors="replace"))
        case float():
            return f"{value:.6f}" if math.isfinite(value) else quote(format_double(value))
        case Timestamp():
            return f'timestamp("{value}")'
        case Duration():
            return f'duration("{value}")'
        case Type():
            return f"type({value.type_name})"
    return _plain(value)


def _decimal(value: Any, _: int) -> str:
    if type(value) not in (int, UInt):
        raise _unfit("decimal", "integers", value)
    return str(int(value))


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _floating(name: str, spec: str) -> Callable[[Any, int], str]:
    def run(value: Any, digits: int) -> str:
        if value in ("NaN", "Infinity", "-Infinity") and type(value) is str:
            value = float(value)
        if type(value) is not float:
            raise _unfit(name, "doubles", value)
        if not math.isfinite(value):
            return "NaN" if value != value else "∞" if value > 0 else "-∞"
        text = f"{value:.{digits}{spec}}"
        if spec == "f":
            return text
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}×10{exponent.removeprefix('+').translate(_SUPERSCRIPT)}"

    return run


def _binary(value: Any, _: int) -> str:
    if type(value) not in (int, UInt, bool):
        raise _unfit("binary", "integers and bools", value)
    return f"{int(value):b}"


def _octal(value: Any, _: int) -> str:
    if type(value) not in (int, UInt):
        raise _unfit("octal", "integers", value)
    return f"{int(value):o}"


def _hexadecimal(value: Any, _: int) -> str:
    if type(value) is str:
        return value.encode().hex()
    if type(value) is bytes:
        return value.hex()
    if type(value) not in (int, UInt):
        raise _unfit("hex", "integers, byte buffers, and strings", value)
    return f"{int(value):x}"


def _text_in(value: Any) -> int:
    """About how many characters a value takes."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(_text_in(key) + _text_in(item) for key, item in value.items())
    return sum(map(_text_in, value)) if isinstance(value, list) else 4


def _format_cost(template: str, args: list[Any]) -> int:
    """Upstream's, which is of the template, and of long texts put into it."""
    return max(math.ceil(len(template) * 0.1), _text_in(args) // 100)


_VERBS: dict[str, Callable[[Any, int], str]] = {
    "s": _plain,
    "d": _decimal,
    "f": _floating("fixed-point", "f"),
    "e": _floating("scientific", "e"),
    "b": _binary,
    "o": _octal,
    "x": _hexadecimal,
    "X": lambda value, digits: _hexadecimal(value, digits).upper(),
}


def declare_library(functions: Functions) -> None:
    once, twice = traverse(0.1), traverse(0.2)
    declare(functions, "string -> charAt(int): string", _char_at)
    for name, run in (("indexOf", _index_of), ("lastIndexOf", _last_index_of)):
        declare(functions, f"string -> {name}(string): int", run, lambda text, *_: int(len(text) * 0.1))
        declare(functions, f"string -> {name}(string, int): int", run, lambda text, *_: int(len(text) * 0.1))
    declare(functions, "string -> lowerAscii(): string", lambda text: text.translate(_LOWER), once)
    declare(functions, "string -> upperAscii(): string", lambda text: text.translate(_UPPER), once)
    declare(functions, "string -> replace(string, string): string", _replace, _replace_cost)
    declare(functions, "string -> replace(string, string, int): string", _replace, _replace_cost)
    declare(functions, "string -> split(string): list(string)", _split, twice)
    declare(functions, "string -> split(string, int): list(string)", _split, twice)
    declare(functions, "string -> substring(int): string", _substring, once)
    declare(functions, "string -> substring(int, int): string", _substring, once)
    declare(functions, "string -> trim(): string", lambda text: text.strip(_SPACE), once)
    declare(functions, "list(string) -> join(): string", _join, _join_cost)
    declare(functions, "list(string) -> join(string): string", _join, _join_cost)
    declare(functions, "string -> format(list(dyn)): string", _format, _format_cost)
    declare(functions, "strings.quote(string): string", quote, once)
    declare(functions, "string -> find(string): string", _find, regex_cost)
    declare(functions, "string -> findAll(string): list(string)", _find_all, regex_cost)
    declare(functions, "string -> findAll(string, int): list(string)", _find_all, regex_cost)
