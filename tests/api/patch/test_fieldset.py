"""Sets of fields obey the laws of sets, and look on the wire as upstream writes them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylet.api.patch import fieldset
from pylet.api.patch.fieldset import Set, difference, intersection, of_paths, ordered, paths, union

ELEMENTS = ["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']
PATHS = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(tuple)
SETS = st.lists(PATHS, max_size=6).map(lambda found: of_paths(*found))


def members(fields: Set, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """A Set as what it stands for: the paths of its members."""
    found = set()
    for element, node in fields.items():
        if element == ".":
            continue
        path = (*prefix, element)
        if not node or "." in node:
            found.add(path)
        found |= members(node, path)
    return found


@given(SETS, SETS)
def test_algebra_is_that_of_the_members(left: Set, right: Set) -> None:
    before = orjson.dumps([left, right])
    assert members(union(left, right)) == members(left) | members(right)
    assert members(intersection(left, right)) == members(left) & members(right)
    assert members(difference(left, right)) == members(left) - members(right)
    assert orjson.dumps([left, right]) == before


@given(SETS, SETS)
def test_recursive_difference_takes_what_lies_below_too(left: Set, right: Set) -> None:
    gone = members(right)
    kept = {path for path in members(left) if not any(path[:depth] in gone for depth in range(1, len(path) + 1))}
    assert members(difference(left, right, recursive=True)) == kept


@given(SETS)
def test_the_wire_keeps_a_set(fields: Set) -> None:
    written = orjson.loads(orjson.dumps(ordered(fields)))
    assert members(written) == members(fields)
    assert fieldset.from_wire(written) == written
    assert len(list(paths(fields))) == len(members(fields))


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param(["f:b", "f:a"], ["f:a", "f:b"], id="fields by name"),
        pytest.param(['v:"x"', 'k:{"a":1}', "i:0", "f:z"], ["f:z", 'k:{"a":1}', 'v:"x"', "i:0"], id="by what they are"),
        pytest.param(['k:{"port":443}', 'k:{"port":80}'], ['k:{"port":80}', 'k:{"port":443}'], id="numbers as numbers"),
        pytest.param(['k:{"n":"a-b"}', 'k:{"n":"a"}'], ['k:{"n":"a"}', 'k:{"n":"a-b"}'], id="strings as strings"),
        pytest.param(["v:true", 'v:"x"', "v:2"], ["v:2", 'v:"x"', "v:true"], id="numbers, strings, booleans"),
    ],
)
def test_order(elements: list[str], expected: list[str]) -> None:
    assert list(ordered({element: {} for element in elements})) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:spec", 'k:{"name":"x"}', "f:image"), '.spec[name="x"].image'),
        (("f:ports", 'k:{"containerPort":80,"protocol":"TCP"}'), '.ports[containerPort=80,protocol="TCP"]'),
        (("f:finalizers", 'v:"a/b"'), '.finalizers[="a/b"]'),
        (("f:list", "i:3"), ".list[3]"),
    ],
)
def test_how_messages_name_a_field(path: tuple[str, ...], expected: str) -> None:
    assert list(paths(of_paths(path))) == [expected]


def test_elements_are_canonical() -> None:
    assert fieldset.of_keys({"b": 1, "a": "<"}) == 'k:{"a":"\\u003c","b":1}'
    assert fieldset.from_wire({'k:{"b":1, "a":2}': {}, "x:unknown": {}, "f:a": {".": {}}}) == {
        'k:{"a":2,"b":1}': {},
        "f:a": {},
    }


@pytest.mark.parametrize("fields", [[], "x", {"f": {}}, {"name": {}}, {"k:[]": {}}, {"v:": {}}, {"i:x": {}}])
def test_what_is_no_set_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        fieldset.from_wire(fields)
