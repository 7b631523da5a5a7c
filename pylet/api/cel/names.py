"""How property names that are no CEL identifiers are written in expressions: apiserver/pkg/cel/escaping.go."""

from __future__ import annotations

import re

from pylet.api.cel.lexer import KEYWORDS, RESERVED

_PARTS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_NAMES = {written: part for part, written in _PARTS.items()}
_ESCAPED = re.compile("|".join(_NAMES))


def escape(name: str) -> str | None:
    """The identifier for a property; None for a name that cannot be reached from an expression."""
    if not re.fullmatch(r"[A-Za-z_./-][A-Za-z0-9_./-]*", name):
        return None
    if name in RESERVED or name in KEYWORDS:
        return f"__{name}__"
    return re.sub(r"__|[./-]", lambda match: _PARTS[match[0]], name)


def unescape(identifier: str) -> str:
    """The property an identifier stands for."""
    inner = identifier[2:-2]
    if identifier.startswith("__") and identifier.endswith("__") and (inner in RESERVED or inner in KEYWORDS):
        return inner
    return _ESCAPED.sub(lambda match: _NAMES[match[0]], identifier)
