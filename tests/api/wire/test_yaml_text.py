"""YAML as PyYAML writes a whole tree, to the byte."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pylet.api.wire.yaml_text import as_yaml

TEXTS = st.text(max_size=6) | st.sampled_from(
    [
        *("true", "y", "~", "null", "1", "1.5", "0x1f", "1e3", "0o7", "2026-01-01", "12:30", ".inf", "<<", "="),
        *("a: b", "- a", "# c", "a\nb", "a\nb\n", " a", "a ", "'", '"', "*a", "&a", "!a", "|", ">", "%", "@", "---"),
        *("a b " * 60, "\u2028", "\x07", "\x00", "\U0001f600", "{", "[", "?", ":", "-"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


@given(VALUES)
def test_it_is_what_a_tree_would_be(value: Any) -> None:
    whole = yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=False, sort_keys=True, allow_unicode=True)
    assert as_yaml(value) == whole.encode()


def test_the_deepest_object_there_is() -> None:
    value: Any = "x"
    for _ in range(238):
        value = {"a": [value]} if _ % 2 else {"a": value}
    assert as_yaml(value).endswith(b"x\n")
