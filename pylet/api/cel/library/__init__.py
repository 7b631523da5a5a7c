"""The functions Kubernetes adds to CEL, one file each library; `declared` is the base environment of v1.36."""

from __future__ import annotations

from functools import cache

from pylet.api.cel.functions import Functions
from pylet.api.cel.library import (
    authorizer,
    formats,
    lists,
    network,
    optional,
    patches,
    quantity,
    semver,
    strings,
    urls,
)
from pylet.api.cel.standard import declare_standard


@cache
def declared() -> Functions:
    """Every function by its name; apiserver/pkg/cel/environment/base.go lists the libraries."""
    functions: Functions = {}
    declare_standard(functions)
    for library in (strings, lists, optional, urls, network, quantity, semver, formats, authorizer):
        library.declare_library(functions)
    return functions


@cache
def declared_for_patches() -> Functions:
    """What expressions that make patches have, too."""
    functions = {**declared()}
    patches.declare_library(functions)
    return functions
