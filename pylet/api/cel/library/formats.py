"""Named formats: Kubernetes' library/format.go; each answers with the problems of a text, or with none."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from pylet.api import names
from pylet.api.cel.functions import Functions, declare
from pylet.api.cel.library.urls import parse_url
from pylet.api.cel.types import Type, opaque
from pylet.api.cel.values import NONE, Optional, parse_timestamp


@dataclass(frozen=True, slots=True)
class Format:
    """`regex_size` is what upstream charges for its pattern."""

    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.NamedFormat")
    name: str
    problems: Callable[[str], Any] = field(compare=False)
    regex_size: int = field(compare=False)


def _dns_1035_label(text: str) -> list[str]:
    problems = [names.too_long(63)] if len(text) > 63 else []
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", text):
        problems.append(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        )
    return problems


def _prefix(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """As names of objects: a trailing dash of a generateName is taken for the start of what follows."""
    return lambda text: check(text[:-1] + "a" if len(text) > 1 and text.endswith("-") else text)


def _uri(text: str) -> list[str]:
    try:
        parse_url(text)
    except ValueError as bad:
        return [str(bad)]
    return []


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return []


def _date(text: str) -> list[str]:
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError(text)
        date.fromisoformat(text)
    except ValueError:
        return ["invalid date"]
    return []


def _datetime(text: str) -> list[str]:
    try:
        parse_timestamp(text)
    except ValueError:
        return ["invalid datetime"]
    return []


def _uuid(text: str) -> list[str]:
    fits = re.fullmatch(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", text)
    return [] if fits else ["does not match the UUID format"]


_TABLE: list[tuple[str, str, Callable[[str], Any], int]] = [
    ("dns1123Label", "DNS1123Label", names.dns_label, 30),
    ("dns1123Subdomain", "DNS1123Subdomain", names.dns_subdomain, 60),
    ("dns1035Label", "DNS1035Label", _dns_1035_label, 30),
    ("qualifiedName", "QualifiedName", names.qualified_name, 60),
    ("dns1123LabelPrefix", "DNS1123LabelPrefix", _prefix(names.dns_label), 30),
    ("dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", _prefix(names.dns_subdomain), 60),
    ("dns1035LabelPrefix", "DNS1035LabelPrefix", _prefix(_dns_1035_label), 30),
    ("labelValue", "LabelValue", names.label_value, 40),
    ("uri", "URI", _uri, 1103),
    ("uuid", "uuid", _uuid, 70),
    ("byte", "byte", _byte, 84),
    ("date", "date", _date, 71),
    ("datetime", "datetime", _datetime, 71),
]
FORMATS = {name: Format(spelled, problems, size) for name, spelled, problems, size in _TABLE}


def _named(name: str) -> Optional:
    return Optional(FORMATS[name]) if name in FORMATS else NONE


def _validate(named: Format, text: str) -> Optional:
    problems = list(named.problems(text))
    return Optional(problems) if problems else NONE


def _cost(named: Format, text: str) -> int:
    return math.ceil((1 + len(text)) * 0.1) * math.ceil(named.regex_size * 0.25)


def declare_library(functions: Functions) -> None:
    kind = "kubernetes.NamedFormat"
    declare(functions, f"format.named(string): optional({kind})", _named)
    declare(functions, f"{kind} -> validate(string): optional(list(string))", _validate, _cost)
    for name, named in FORMATS.items():
        declare(functions, f"format.{name}(): {kind}", lambda named=named: named)
