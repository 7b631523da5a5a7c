"""What this process uses, as it is told."""

from __future__ import annotations

import os
import time

from pylet.aio import process


def test_a_process_tells_what_it_uses() -> None:
    told = dict(line.split() for line in process.lines() if not line.startswith("#"))
    values = {name.removeprefix("process_"): float(value) for name, value in told.items()}
    assert values["virtual_memory_bytes"] > values["resident_memory_bytes"] > 1 << 20
    assert values["max_fds"] >= values["open_fds"] > 2
    assert 0 < values["start_time_seconds"] <= time.time() + 60
    assert values["cpu_seconds_total"] <= sum(os.times()[:2]) + 1
