"""A token bucket without end gets one; others stay as they were made."""

from __future__ import annotations

import shutil

import pytest

from pylet.agent.netlink import Message
from pylet.agent.network import shaping
from tests.netns import Lab, needs_netns

needs_tc = pytest.mark.skipif(shutil.which("tc") is None, reason="needs tc")


@needs_netns
@needs_tc
@pytest.mark.parametrize(
    ("made", "left"),
    [
        pytest.param("rate 8mbit burst 250m latency 25ms", "rate 8Mbit burst 50000b lat 25ms", id="without end"),
        pytest.param("rate 80kbit burst 250m latency 25ms", "rate 80Kbit burst 32Kb lat 25ms", id="slow"),
        pytest.param("rate 8mbit burst 64k latency 50ms", "rate 8Mbit burst 64Kb lat 50ms", id="somebody's own"),
    ],
)
async def test_a_bucket(made: str, left: str) -> None:
    with Lab(nodes=1) as lab:
        (node,) = lab.nodes
        node.run("tc", "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "tbf", *made.split())
        with node.entered(), shaping.watch():
            pass
        assert left in node.run("tc", "qdisc", "show", "dev", "eth0")


@pytest.mark.parametrize("body", [b"", bytes(20), bytes(20) + b"\x08\0\1\0tbf\0", bytes(40)])
def test_what_is_no_bucket_is_left(body: bytes) -> None:
    assert shaping.corrected(Message(36, body)) == b""
