"""What this process uses, as Prometheus' own clients tell it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from pylet.aio.prometheus import counts, gauge

_SELF = Path("/proc/self")
_START, _VIRTUAL, _RESIDENT = 19, 20, 21  # fields of proc(5)'s stat, after the name


def started() -> float:
    """When, in seconds since 1970."""
    boot = next(line.split()[1] for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return int(boot) + int(_stat()[_START]) / os.sysconf("SC_CLK_TCK")


def _stat() -> list[str]:
    return (_SELF / "stat").read_text().rpartition(")")[2].split()


def _octets() -> tuple[int, int]:
    """Received and sent, as Prometheus' Go client reads them."""
    names, values = (
        line.split() for line in (_SELF / "net" / "netstat").read_text().splitlines() if line.startswith("IpExt:")
    )
    told = dict(zip(names, values, strict=True))
    return int(told["InOctets"]), int(told["OutOctets"])


def lines() -> Iterator[str]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    stat = _stat()
    seconds = round(used.ru_utime + used.ru_stime, 2)
    yield from counts("process_cpu_seconds_total", "CPU time used.", [({}, seconds)])
    for way, octets in zip(("receive", "transmit"), _octets(), strict=True):
        yield from counts(f"process_network_{way}_bytes_total", "Over IP, of its whole network.", [({}, octets)])
    for name, help_, value in (
        ("resident_memory_bytes", "Memory in use.", int(stat[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")),
        ("virtual_memory_bytes", "Addresses in use.", int(stat[_VIRTUAL])),
        ("virtual_memory_max_bytes", "Addresses it may use.", resource.getrlimit(resource.RLIMIT_AS)[1] % (1 << 64)),
        ("open_fds", "Open files.", len(os.listdir(_SELF / "fd"))),
        ("max_fds", "Files it may open.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ("start_time_seconds", "When it started.", round(started(), 2)),
    ):
        yield from gauge(f"process_{name}", help_, {}, value)
