"""What a body wrote empty is absent from what is kept, and told of where upstream tells it."""

from __future__ import annotations

from pylet.api import schema
from pylet.api.kinds.endpointslice import KIND as SLICE
from pylet.api.object import Object
from pylet.api.schema import emptied


def _decoded() -> Object:
    obj: Object = {"metadata": {"name": "a", "labels": {}}, "addressType": "IPv4", "endpoints": [], "ports": []}
    schema.of_kind(SLICE).decode(obj)
    return obj


def test_what_is_empty_is_shown_for_a_while_as_it_was_written() -> None:
    obj = _decoded()
    obj["endpoints"] = None  # as defaults print it
    kept = {"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": None}
    assert obj == kept
    with emptied.Shown() as differs:
        assert differs
        assert obj == {**kept, "metadata": {"name": "a", "labels": {}}, "endpoints": [], "ports": []}
    assert obj == kept
    with emptied.Shown(if_printed=True):
        assert obj == {**kept, "endpoints": [], "ports": []}
    assert obj == kept


def test_what_has_got_a_value_since_keeps_it() -> None:
    obj = _decoded()
    obj["ports"] = [{"port": 80}]
    with emptied.Shown():
        assert obj["ports"] == [{"port": 80}]


def test_what_was_noted_goes_with_the_fields_and_ends_with_the_next_body() -> None:
    obj = _decoded()
    other = dict(obj)
    emptied.move(obj, other)
    with emptied.Shown(if_printed=True):
        assert ("ports" in obj, "ports" in other) == (False, True)
    schema.of_kind(SLICE).decode({"metadata": {"name": "b"}, "addressType": "IPv4"})
    with emptied.Shown() as differs:
        assert not differs
