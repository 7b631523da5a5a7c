"""What a call says of itself."""

from __future__ import annotations

import pytest

from pylet.cri.rpc import head


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0001, b"1m"), (2.5, b"2500m"), (99_999, b"99999000m"), (365 * 86400, b"31536000S"), (1e12, b"99999999S")],
)
def test_a_time_limit_has_eight_digits_at_most(seconds: float, told: bytes) -> None:
    assert head("/a.B/C", seconds, {}).endswith(b"\x0cgrpc-timeout" + bytes([len(told)]) + told)
