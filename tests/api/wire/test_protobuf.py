"""Protobuf bodies read as the JSON they stand for."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylet.api import kinds, schema
from pylet.api.errors import BadRequest
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.wire import decode, protobuf
from tests.api.wire.generated import objects

# What kubectl 1.32 sends for `create configmap a --from-literal=x=y`.
CONFIG_MAP_BODY = bytes.fromhex(
    "6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a01611200"
    "1a0022002a0032003800420012060a01781201791a002200"
)  # fmt: skip


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def envelope(message: bytes) -> bytes:
    return b"k8s\x00" + field(1, b"") + field(2, message)


def test_what_kubectl_sends_is_the_object_without_its_empty_fields() -> None:
    obj, warnings = decode.of_kind(CONFIG_MAP, CONFIG_MAP_BODY, decode.PROTOBUF_TYPE, decode.STRICT)
    assert obj == {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"x": "y"}}
    assert warnings == []


def test_numbers_and_int_or_strings_have_their_json_form() -> None:
    named = field(3, bytes([3 << 3]) + b"\x50" + field(4, b"\x08\x01" + field(3, b"web")))
    port = protobuf.load(envelope(field(2, field(1, named[2:]))), SERVICE.definition)["spec"]["ports"][0]
    assert port["targetPort"] == "web"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"{}", id="no envelope"),
        pytest.param(b"k8s\x00\xff", id="a number without an end"),
        pytest.param(b"k8s\x00" + field(2, b"\x0a\x7fx"), id="a field longer than the message"),
        pytest.param(b"k8s\x00" + field(2, b"\x0f"), id="an unknown wire type"),
        pytest.param(envelope(field(1, field(1, b"\xff\xfe"))), id="text that is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        protobuf.load(raw, CONFIG_MAP.definition)


def test_what_is_compared_byte_by_byte_is_written_as_go_would() -> None:
    revision = {
        "kind": "ControllerRevision",
        "apiVersion": "apps/v1",
        "data": {"b": "<&>\u2028", "a": 1},
        "revision": 1,
    }
    raw = protobuf.dump(revision, CONTROLLER_REVISION.definition)
    assert rb'{"b":"\u003c\u0026\u003e\u2028","a":1}' in raw
    assert protobuf.load(raw, CONTROLLER_REVISION.definition) == revision


def test_a_number_where_text_belongs_is_refused_without_making_it() -> None:
    with pytest.raises(BadRequest, match="wrong wireType = 0 for field name"):
        protobuf.load(envelope(field(1, b"\x08\xff\xff\xff\xff\x7f")), CONFIG_MAP.definition)


def test_a_body_of_nothing_but_empty_messages_is_refused() -> None:
    many = b"\x5a\x00" * 300_000  # metadata.ownerReferences has number 13, managedFields 17
    with pytest.raises(BadRequest, match="too large"):
        protobuf.load(b"k8s\x00\x12" + _long(b"\x0a" + _long(many.replace(b"\x5a", b"\x6a"))), CONFIG_MAP.definition)


def _long(data: bytes) -> bytes:
    size, length = len(data), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return length + bytes([size]) + data


DEFINITIONS = sorted({kind.definition for kind in kinds.all_kinds()})


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("definition", DEFINITIONS)
@given(st.data())
def test_any_object_of_any_kind_survives_the_round_trip(definition: str, data: st.DataObject) -> None:
    obj = {"kind": "K", "apiVersion": "v1"} | data.draw(objects(definition))
    schema.of(definition).decode(obj)
    again = protobuf.load(protobuf.dump(obj, definition), definition)
    schema.of(definition).decode(again)
    assert again == obj


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(DEFINITIONS))
def test_whatever_the_bytes_reading_ends_with_an_object_or_a_refusal(raw: bytes, definition: str) -> None:
    with suppress(BadRequest):
        protobuf.load(b"k8s\x00\x12" + _long(raw), definition)
