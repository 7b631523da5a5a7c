"""Protobuf bodies read as the JSON they stand for."""

from __future__ import annotations

import pytest

from pylet.api.errors import BadRequest
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.wire import decode, protobuf

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
    negative = b"\x18" + b"\xff" * 9 + b"\x01"
    port = protobuf.load(envelope(field(2, field(1, named[2:]))), SERVICE.definition)["spec"]["ports"][0]
    assert port["targetPort"] == "web"
    assert protobuf._value(dict(protobuf._read(memoryview(negative)))[3], "i", 0) == -1


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
