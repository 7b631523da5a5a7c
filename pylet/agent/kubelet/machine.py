"""What the machine is and how it fares: read from /proc, /sys and the runtime, in the terms of a Node's status."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while the machine runs. Sizes in bytes."""

    cpus: int
    memory_bytes: int
    disk_bytes: int
    machine_id: str
    system_uuid: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str
    huge_pages: dict[str, int]
    swap_bytes: int = 0


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le"}


def read_machine(data_dir: Path) -> Machine:
    uname = os.uname()
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=(memory := meminfo())["MemTotal"],
        disk_bytes=shutil.disk_usage(data_dir).total,
        machine_id=_first(Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")),
        system_uuid=_first(Path("/sys/class/dmi/id/product_uuid"), Path("/etc/machine-id")),
        boot_id=_first(_PROC / "sys/kernel/random/boot_id"),
        kernel=uname.release,
        os_image=platform.freedesktop_os_release().get("PRETTY_NAME", uname.sysname),
        architecture=_ARCHITECTURES.get(uname.machine, uname.machine),
        huge_pages=_huge_pages(),
        swap_bytes=memory["SwapTotal"],
    )


def processes() -> tuple[int, int]:
    """How many there are, threads counted, and may be."""
    return int((_PROC / "loadavg").read_text().split()[3].split("/")[1]), pids_max()


def pids_max() -> int:
    return min(int((_PROC / "sys/kernel" / name).read_text()) for name in ("pid_max", "threads-max"))


def has_apparmor() -> bool:
    return _first(Path("/sys/module/apparmor/parameters/enabled")) == "Y"


def meminfo() -> dict[str, int]:
    lines = (line.split() for line in (_PROC / "meminfo").read_text().splitlines())
    return {parts[0].rstrip(":"): int(parts[1]) * (1024 if len(parts) > 2 else 1) for parts in lines}


def _huge_pages() -> dict[str, int]:
    """Resource name → bytes reserved, as `hugepages-2Mi`."""
    found = {}
    for size in sorted(Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB")):
        kilobytes = int(size.name.removeprefix("hugepages-").removesuffix("kB"))
        mebi = kilobytes // 1024
        name = f"{mebi // 1024}Gi" if mebi >= 1024 else f"{mebi}Mi" if mebi else f"{kilobytes}Ki"
        found[f"hugepages-{name}"] = int((size / "nr_hugepages").read_text()) * kilobytes * 1024
    return found


def _first(*paths: Path) -> str:
    for path in paths:
        try:
            return path.read_text().strip()
        except OSError:
            continue
    return ""
