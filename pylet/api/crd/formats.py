"""Formats and patterns of strings in schemas.

Source: kube-openapi pkg/validation/strfmt, apiextensions-apiserver pkg/apiserver/validation/formats.go.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

_HEX = "[0-9a-f]"
_PATTERNS = {
    "bsonobjectid": "[0-9a-fA-F]{24}",
    "hostname": r"[^\W_]((-?[^\W_]{0,62})?)|([^\W_](([^\W_]|-){0,61}[^\W_])?\.)+[^\W\d_]{2,63}",
    "mac": r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}(([:-][0-9a-fA-F]{2}){2})?|([0-9a-fA-F]{4}\.){2,3}[0-9a-fA-F]{4}",
    "uuid": f"(?i:{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}})",
    "uuid3": f"(?i:{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}})",
    "uuid4": f"(?i:{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89ab]{_HEX}{{3}}-?{_HEX}{{12}})",
    "uuid5": f"(?i:{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89ab]{_HEX}{{3}}-?{_HEX}{{12}})",
    "ssn": r"\d{3}[- ]?\d{2}[- ]?\d{4}",
    "hexcolor": "#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})",
    "date": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    "email": r"[^@\s<>]+@[^@\s<>]+|[^@<>]*<[^@\s<>]+@[^@\s<>]+>",
    "k8sshortname": "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
    "k8slongname": r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "creditcard": r"4\d{12}(\d{3})?|5[1-5]\d{14}|6(011|5\d\d)\d{12}|3[47]\d{13}|3(0[0-5]|[68]\d)\d{11}"
    r"|(2131|1800|35\d{3})\d{11}",
    "datetime": r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})",
}
_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)\s*[a-zµμ]+((\d+(\.\d*)?|\.\d+)[a-zµμ]+)*|0")
_UNITS = re.compile(
    "ns|us|µs|μs|ms|s|m|h|d|w|nanos?|nanoseconds?|micros?|microseconds?|millis?|milliseconds?|secs?|seconds?|mins?"
    "|minutes?|hrs?|hours?|days?|weeks?|wks?"
)


def known(type_: str, format_: str) -> str:
    """The format as far as it is looked at for values of that type; "" when it is not."""
    match type_:
        case "" | "string":
            plain = format_.replace("-", "")
            return format_ if plain in _PATTERNS or plain in _CHECKS else ""
        case "integer":
            return format_ if format_ in ("int32", "int64") else ""
        case "number":
            return format_ if format_ in ("float", "double") else ""
    return ""


def valid(format_: str, text: str) -> bool:
    """Whether `text` is of that known string format."""
    plain = format_.replace("-", "")
    if plain == "creditcard":
        text = re.sub(r"\D", "", text)
    pattern = _PATTERNS.get(plain)
    if pattern is not None and _compiled(pattern).fullmatch(text) is None:
        return False
    check = _CHECKS.get(plain)
    if check is None:
        return True
    try:
        return check(text)
    except ValueError:
        return False


@lru_cache(512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern, in Go's syntax, is found in the text, in time linear in it."""
    from pylet.api.cel import re2

    try:
        return re2.search(text, pattern)
    except re2.BadPattern:
        return False


def _uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme) or text.startswith("/")


def _base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True


def _cidr(text: str) -> bool:
    address, _, length = text.partition("/")
    return length.isdigit() and bool(ipaddress.ip_network(f"{ipaddress.ip_address(address)}/{length}", strict=False))


def _isbn(text: str, *lengths: int) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if len(digits) == 10 and 10 in lengths and re.fullmatch(r"\d{9}[\dX]", digits):
        return sum((10 - at) * (10 if char == "X" else int(char)) for at, char in enumerate(digits)) % 11 == 0
    if len(digits) == 13 and 13 in lengths and digits.isdigit():
        return sum(int(char) * (3 if at % 2 else 1) for at, char in enumerate(digits)) % 10 == 0
    return False


def _duration(text: str) -> bool:
    text = text.strip()
    units = re.findall("[a-zµμ]+", text)
    return _DURATION.fullmatch(text) is not None and all(_UNITS.fullmatch(unit) for unit in units)


def _date(text: str) -> bool:
    return bool(datetime.strptime(text, "%Y-%m-%d"))


def _rgb(text: str) -> bool:
    found = re.fullmatch(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)", text)
    return found is not None and all(int(part) <= 255 for part in found.groups())


_CHECKS: dict[str, Callable[[str], bool]] = {
    "byte": _base64,
    "cidr": _cidr,
    "date": _date,
    "duration": _duration,
    "ipv4": lambda text: ipaddress.ip_address(text).version == 4,
    "ipv6": lambda text: ":" in text and ipaddress.ip_address(text).version == 6,
    "isbn": lambda text: _isbn(text, 10, 13),
    "isbn10": lambda text: _isbn(text, 10),
    "isbn13": lambda text: _isbn(text, 13),
    "password": lambda text: True,
    "rgbcolor": _rgb,
    "uri": _uri,
}
