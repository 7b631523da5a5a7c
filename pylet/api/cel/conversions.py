"""From one type to another: the conversions of cel-go's common/stdlib/standard.go, and values in messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Cost, Functions, declare, traverse
from pylet.api.cel.values import (
    INT_MAX,
    INT_MIN,
    SECOND,
    UINT_MAX,
    Duration,
    Timestamp,
    UInt,
    format_double,
    parse_duration,
    parse_timestamp,
    to_int,
    to_timestamp,
    to_uint,
    type_name,
    type_of,
)


def show(value: Any) -> str:
    """A value in an error message, as Go's `%v` prints it."""
    if type(value) is bool:
        return "true" if value else "false"
    return format_double(value) if type(value) is float else str(value)


def _conversion(kind: str, value: Any) -> EvaluationError:
    return EvaluationError(f"type conversion error from '{type_name(value)}' to '{kind}'")


def _int_of_double(value: float) -> int:
    if value != value or not -(2.0**63) < value < 2.0**63:
        raise EvaluationError("integer overflow")
    return int(value)


def _uint_of_double(value: float) -> UInt:
    if value != value or not 0 <= value < 2.0**64:
        raise EvaluationError("unsigned integer overflow")
    return UInt(int(value))


def _int_of_string(value: str) -> int:
    digits = value[1:] if value[:1] in ("-", "+") else value
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 64 or not INT_MIN <= int(value) <= INT_MAX:
        raise _conversion("int", value)
    return int(value)


def _uint_of_string(value: str) -> UInt:
    if not (value.isascii() and value.isdigit()) or len(value) > 64 or int(value) > UINT_MAX:
        raise _conversion("uint", value)
    return UInt(int(value))


def _double_of_string(value: str) -> float:
    try:
        if "_" in value or value != value.strip() or len(value) > 1024:
            raise ValueError(value)
        return float(value)
    except ValueError as bad:
        raise _conversion("double", value) from bad


_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def _bool_of_string(value: str) -> bool:
    if value not in _TRUE and value not in _FALSE:
        raise _conversion("bool", value)
    return value in _TRUE


def _string_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as bad:
        raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from bad


def _duration_of_string(value: str) -> Duration:
    try:
        return parse_duration(value)
    except ValueError as bad:
        raise _conversion("google.protobuf.Duration", value) from bad


def _timestamp_of_string(value: str) -> Timestamp:
    try:
        moment = parse_timestamp(value)
        to_timestamp(moment.ns)
        return moment
    except ValueError as bad:
        raise _conversion("google.protobuf.Timestamp", value) from bad


def declare_conversions(functions: Functions) -> None:
    for kind in ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"):
        declare(functions, f"{kind}({kind}): {kind}", lambda value: value)
    text = traverse(0.1)
    conversions: list[tuple[str, Callable[..., Any], Cost | None]] = [
        ("bool(string): bool", _bool_of_string, None),
        ("int(uint): int", lambda value: to_int(int(value)), None),
        ("int(double): int", _int_of_double, None),
        ("int(string): int", _int_of_string, None),
        ("int(timestamp): int", lambda value: value.ns // SECOND, None),
        ("int(duration): int", lambda value: value.ns, None),
        ("uint(int): uint", to_uint, None),
        ("uint(double): uint", _uint_of_double, None),
        ("uint(string): uint", _uint_of_string, None),
        ("double(int): double", float, None),
        ("double(uint): double", float, None),
        ("double(string): double", _double_of_string, None),
        ("string(bool): string", show, None),
        ("string(int): string", str, None),
        ("string(uint): string", lambda value: str(int(value)), None),
        ("string(double): string", format_double, None),
        ("string(bytes): string", _string_of_bytes, text),
        ("string(timestamp): string", str, None),
        ("string(duration): string", str, None),
        ("bytes(string): bytes", lambda value: value.encode(errors="surrogatepass"), text),
        ("timestamp(string): timestamp", _timestamp_of_string, None),
        ("timestamp(int): timestamp", lambda value: to_timestamp(value * SECOND), None),
        ("duration(string): duration", _duration_of_string, None),
        ("duration(int): duration", Duration, None),
        ("dyn(A): dyn", lambda value: value, None),
        ("type(A): type(A)", type_of, None),
    ]
    for signature, run, cost in conversions:
        declare(functions, signature, run, cost)
