"""jsonpatch.escapeKey: only expressions that make patches have it. Source: apiserver pkg/cel/mutation/jsonpatch.go."""

from __future__ import annotations

from pylet.api.cel.functions import Functions, declare, traverse


def declare_library(functions: Functions) -> None:
    declare(functions, "jsonpatch.escapeKey(string): string", _escape_key, traverse(0.1))


def _escape_key(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
