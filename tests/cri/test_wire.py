"""Whatever a runtime answers, it is a message or it is Malformed."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylet.cri import calls, features, messages, usage
from pylet.cri.wire import Malformed, decode

MESSAGES = [
    found
    for module in (calls, features, messages, usage)
    for found in vars(module).values()
    if isinstance(found, type) and dataclasses.is_dataclass(found)
]


@given(st.sampled_from(MESSAGES), st.lists(st.integers(0, 40) | st.sampled_from([0x7F, 0x80, 0xFF]), max_size=20))
def test_any_bytes(message: type, content: list[int]) -> None:
    with contextlib.suppress(Malformed):
        decode(message, bytes(content))


@pytest.mark.parametrize("content", [b"\x08\x05", b"\x10\x05", b"\x12\x01\x08", b"\x18" + b"\xff" * 30 + b"\x00"])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_fields_of_another_type(message: type, content: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode(message, content)
