"""Differences of values as refusals show them: what is cut short where there is very much of it."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api import golang


def lines(count: int, **changed: int) -> dict[str, Any]:
    return {f"f{at}": 0 for at in range(count)} | changed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (lines(90), lines(90, f40=1)),
        (lines(90), lines(90, f0=1)),
        (lines(90), lines(90, f89=1)),
        (lines(90), lines(91)),
        (lines(90), lines(60)),
        (lines(90), {}),
        (lines(90), lines(90, f40=1, f41=2)),
    ],
)
def test_many_lines_that_differ_in_one_place_are_shown_as_few_are(
    old: Any, new: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = golang.difference(old, new)
    monkeypatch.setattr(golang, "_MOST_LINES", 0)
    assert golang.difference(old, new) == usual


def test_far_too_many_lines_to_be_matched_up_are_shown_from_first_to_last() -> None:
    old, new = ([{"value": str(at * factor % 97)} for at in range(30_000)] for factor in (31, 57))
    shown = golang.difference(old, new).splitlines()
    assert shown[0].startswith("@@ -")
    assert sum(line.startswith("-") for line in shown) > 50_000
