"""JSON paths as printer columns use them."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.crd import jsonpath

OBJECT = {
    "spec": {"a.b": 1, "list": [{"type": "Ready", "n": 1}, {"type": "Other", "n": 2}]},
    "metadata": {"annotations": {"example.com/x": "y"}},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        pytest.param(".spec.list[0].n", [1], id="by position"),
        pytest.param(".spec.list[-1].n", [2], id="from the end"),
        pytest.param(".spec.list[*].n", [1, 2], id="all"),
        pytest.param('.spec.list[?(@.type=="Ready")].n', [1], id="where a field is so"),
        pytest.param(".spec.list[?(@.n>1)].type", ["Other"], id="where a number is larger"),
        pytest.param(r".spec.a\.b", [1], id="a dot in a name"),
        pytest.param(".metadata.annotations['example.com/x']", ["y"], id="a quoted name"),
        pytest.param("..n", [1, 2], id="at any depth"),
        pytest.param(".spec.nothing.here", [], id="nowhere"),
    ],
)
def test_a_path_leads_to(path: str, values: list[Any]) -> None:
    assert list(jsonpath.find(jsonpath.parse(path), OBJECT)) == values


@pytest.mark.parametrize("path", [".a[", ".a[?(]", ".a]b"])
def test_a_broken_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="JSON path"):
        jsonpath.parse(path)
