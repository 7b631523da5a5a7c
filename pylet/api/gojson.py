"""JSON as Go's encoder writes it: what HTML and JavaScript would take for their own is escaped within its texts."""

from __future__ import annotations

import re
from typing import Final

_ESCAPES: Final = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_ESCAPED: Final = re.compile("[<>&\u2028\u2029]")


def escaped(text: str) -> str:
    """`text` is JSON, in which none of these stands outside of a string."""
    return _ESCAPED.sub(lambda char: _ESCAPES[char[0]], text)
