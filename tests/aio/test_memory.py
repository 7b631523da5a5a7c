"""Giving memory back changes nothing but the process's size."""

from __future__ import annotations

from pylet.aio.memory import give_back


def resident_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_freed_blocks_between_live_ones_are_returned() -> None:
    blocks = [bytes(4000) for _ in range(20_000)]
    kept = blocks[::50]
    before = resident_kib()
    del blocks
    give_back()
    assert resident_kib() < before - 40_000
    assert all(len(block) == 4000 for block in kept)
