"""The served kinds, one file each, collected from this package; a new file that declares `KIND` is served.

A kind whose verbs lack "get" is answered at once and never stored; one without verbs is only the body of a subresource.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from pylet.api.kind import Kind


def __getattr__(name: str) -> tuple[Kind, ...]:
    if name == "ALL":
        return all_kinds()
    raise AttributeError(name)


@cache
def all_kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of their files' names."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return tuple(import_module(f"{__name__}.{name}").KIND for name in names)


@cache
def _by_resource() -> dict[tuple[str, str, str], Kind]:
    return {(kind.group, kind.version, kind.plural): kind for kind in all_kinds()}


@cache
def _by_kind() -> dict[tuple[str, str, str], Kind]:
    return {(kind.group, kind.version, kind.name): kind for kind in all_kinds()}


def by_resource(group: str, version: str, plural: str) -> Kind | None:
    return _by_resource().get((group, version, plural))


def by_kind(group: str, version: str, name: str) -> Kind | None:
    return _by_kind().get((group, version, name))
