"""References to objects of any kind, and controllers' names. Source: pkg/apis/networking/validation."""

from __future__ import annotations

import re

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object

_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"


def validate_reference(to: Object, where: str) -> list[Cause]:
    """What is wrong with apiGroup, kind and name; source: validateIngressTypedLocalObjectReference."""
    found: list[Cause] = []
    if to.get("apiGroup") is not None:
        found += causes.each(f"{where}.apiGroup", to["apiGroup"], names.dns_subdomain(to["apiGroup"]))
    for name in ("kind", "name"):
        found += validate_segment(to.get(name, ""), f"{where}.{name}")
    return found


def validate_segment(value: str, field: str) -> list[Cause]:
    """A required value that can stand in a path."""
    return causes.each(field, value, names.path_segment(value)) if value else [causes.required(field)]


def domain_prefixed_path(text: str, field: str) -> list[Cause]:
    """`example.com/controller`; source: IsDomainPrefixedPath."""
    if not text:
        return [causes.required(field)]
    host, _, path = text.partition("/")
    if not host or not path:
        return [causes.invalid(field, text, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    found = causes.each(field, host, names.dns_subdomain(host))
    if not re.fullmatch(_PATH, path):
        found.append(causes.invalid(field, path, f"Invalid path (regex used for validation is '{_PATH}')"))
    return found
