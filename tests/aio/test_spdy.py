"""Frames as a SPDY/3.1 client sends them, and what it makes of its peer's, however they are cut."""

from __future__ import annotations

import struct
import zlib

import pytest

from pylet.aio import spdy
from pylet.aio.spdy import Received


def control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", 0x80030000 | kind, flags << 24 | len(payload)) + payload


@pytest.fixture
def client() -> spdy.Client:
    """With streams 1 and 3."""
    opened = spdy.Client()
    for _ in range(2):
        opened.open({"streamtype": "error"})
    return opened


def test_streams_have_odd_numbers_and_headers_are_one_compressed_stream() -> None:
    client, inflate = spdy.Client(), zlib.decompressobj()
    for expected, name in ((1, "error"), (3, "stdin")):
        number, frame = client.open({"streamtype": name})
        assert number == expected
        assert frame[:18] == struct.pack(">IIIIBB", 0x80030001, len(frame) - 8, number, 0, 0, 0)
        block = struct.pack(">II", 1, 10) + b"streamtype" + struct.pack(">I", len(name)) + name.encode()
        assert inflate.decompress(frame[18:]) == block


@pytest.mark.parametrize("size", [1, 7, 100])
def test_data_arrives_however_it_is_cut(client: spdy.Client, size: int) -> None:
    said = control(2, struct.pack(">I", 1)) + spdy.data(3, b"out") + spdy.data(1, b"") + spdy.end(3)
    found = [one for at in range(0, len(said), size) for one in client.receive(said[at : at + size])]
    assert found == [Received(3, b"out", False), Received(1, b"", False), Received(3, b"", True)]
    assert not client.replies


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        pytest.param(control(3, struct.pack(">II", 3, 1)), [3], id="a stream is reset"),
        pytest.param(control(2, struct.pack(">I", 1), flags=1), [1], id="a reply says that nothing comes"),
        pytest.param(control(7, struct.pack(">II", 1, 0)), [3], id="going away ends what the peer has not taken"),
    ],
)
def test_streams_end_without_data(client: spdy.Client, said: bytes, ended: list[int]) -> None:
    assert [*client.receive(said)] == [Received(number, b"", True) for number in ended]


def test_a_ping_is_answered_but_not_an_answer() -> None:
    client = spdy.Client()
    assert not [*client.receive(control(6, struct.pack(">I", 2)) + control(6, struct.pack(">I", 1)))]
    assert client.replies == control(6, struct.pack(">I", 2))
