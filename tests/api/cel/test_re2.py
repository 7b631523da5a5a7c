"""RE2's patterns: leftmost-first matches, its own errors, and no pattern that takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylet.api.cel import re2
from pylet.api.cel.re2.states import assemble, run
from pylet.api.cel.re2.syntax import parse

MATCHES = [
    (r"^\d+$", "123", (0, 3)),
    (r"a|ab", "ab", (0, 1)),
    (r"(?i)straße", "STRAßE", (0, 6)),
    (r"\bfoo\b", "a foo", (2, 5)),
    (r"[[:alpha:]]+", "12ab", (2, 4)),
    (r"\pL+", "1é", (1, 2)),
    (r"a+?", "aa", (0, 1)),
    (r"(a+)+$", "aaab", None),
    (r"(?m)^b$", "a\nb", (2, 3)),
    (r"\Qa.b\E", "a.b", (0, 3)),
    (r"x*", "aaa", (0, 0)),
    (r"[^a-z]", "ab1", (2, 3)),
    (r"(?s).", "\n", (0, 1)),
    (r".", "\n", None),
    (r"a{2,3}", "aaaa", (0, 3)),
]


@pytest.mark.parametrize(("pattern", "text", "span"), MATCHES, ids=[match[0] for match in MATCHES])
def test_find(pattern: str, text: str, span: tuple[int, int] | None) -> None:
    assert re2.compile_pattern(pattern).find(text, 0) == span


@pytest.mark.parametrize("pattern", ["(", ")", "a**", "*", "[a", r"\1", "(?=a)", "a{1001}", "[z-a]", "\\"])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(re2.BadPattern):
        re2.compile_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(a*)*c", r"(.*)*x", r"a*a*a*a*a*b"])
def test_no_pattern_runs_away(pattern: str) -> None:
    start = time.thread_time()
    assert not re2.search("a" * 2000 + "!", pattern)
    assert time.thread_time() - start < 1


_PIECES = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "(", "(?:", ")", "|", "*", "+", "?", "*?", "^", "$", "{2}"])


@settings(max_examples=200, deadline=None)
@given(st.lists(_PIECES, max_size=8).map("".join), st.text("abc", max_size=10))
def test_both_engines_find_the_same(pattern: str, text: str) -> None:
    try:
        compiled = re2.Pattern(pattern)
    except re2.BadPattern:
        return
    span = compiled.find(text, 0)
    assert run(assemble(parse(pattern)), text, 0) == span
    assert compiled.matches(text) == (span is not None)
