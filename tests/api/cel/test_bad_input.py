"""Whatever is written, an expression ends in a value or a CelError, and soon."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from pylet.api.cel.errors import CelError
from tests.api.cel.expressions import value_of

_PIECES = [
    *"()[]{}.?:,+-*/%<!", "?.", "[?", "==", "&&", "||", " in ", "x", "e", "1", "2u", "1.5", "'a'", 'b"x"', "r'\\d'",
    "true", "null", "has(", ".all(e,", ".map(e,", ".filter(e,", ".exists(e,", "size(", "optional.of(", ".orValue(",
    "duration('1h')", ".matches(", ".format([", ".sortBy(e,", "lists.range(", "9223372036854775807", "`", "\\", "\n",
    ".transformMap(k,v,", ".optMap(e,", "type(", ".sum()", ".join()", ".flatten(", ".distinct()", "#", "'''",
]  # fmt: skip
_VALUES = st.sampled_from([None, 1, "a", [1, "a"], {"a": [1]}, 1.5, True])


@settings(max_examples=400, deadline=2000)
@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join), _VALUES)
def test_pieces(source: str, value: object) -> None:
    with suppress(CelError):
        value_of(source, x=value)


@settings(max_examples=100, deadline=2000)
@given(st.text(max_size=40))
def test_any_text(source: str) -> None:
    with suppress(CelError):
        value_of(source)
