"""What iscsiadm and the kernel are asked of a target: log in by every portal, one disk to come or go, log out.

A session shows no disk by itself: those that nobody asked for must not appear on the node.
Source: upstream `pkg/volume/iscsi/iscsi_util.go`, `pkg/volume/util/device_util_linux.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pylet.agent.kubelet.volumes import tools
from pylet.agent.kubelet.volumes.interface import VolumeError

_DEVICE_SECONDS, _MULTIPATH_SECONDS, _STEP = 30, 10, 0.25
_NO_SESSION, _EXISTS, _NOTHING = 2, 15, 21  # iscsiadm's exit statuses
_KEYS = ("username", "password", "username_in", "password_in")
_SYS, _BY_PATH = Path("/sys"), Path("/dev/disk/by-path")


@dataclass(frozen=True, slots=True)
class Target:
    iqn: str
    portals: tuple[str, ...]
    interface: str
    initiator: str
    own_interface: str
    """Made out of `interface` for the name `initiator`, where there is one; else ""."""
    discovers_by_chap: bool = False
    logs_in_by_chap: bool = False

    @property
    def by(self) -> tuple[str, str]:
        return "-I", self.own_interface or self.interface

    def node(self, portal: str) -> tuple[str, ...]:
        return ("-m", "node", "-p", portal, "-T", self.iqn, *self.by)


async def attach(target: Target, lun: int, secrets: Mapping[str, str]) -> Path:
    """The disk, of all portals that answer; its multipath device where there is one. Raises: VolumeError."""
    if target.initiator:
        await _make_interface(target)
    paths, trouble = [], ""
    for portal in target.portals:
        try:
            paths.append(await _path(target, portal, lun, secrets))
        except VolumeError as failed:
            trouble = str(failed)
    if not paths:
        raise VolumeError(f"failed to get any path for iscsi disk, last err seen:\n{trouble}")
    for _ in range(int(_MULTIPATH_SECONDS / _STEP) if len(target.portals) > 1 else 1):
        if several := _multipath(path.name for path in paths):
            return several
        await asyncio.sleep(_STEP if len(target.portals) > 1 else 0)
    return paths[0]


async def let_go(target: Target, lun: int) -> None:
    """The kernel forgets the disk. Raises: VolumeError."""
    disks = [path.name for portal in target.portals if (path := _device(target, portal, lun))]
    if several := _multipath(disks):
        await tools.run("multipath", "-f", str(several))
    for disk in disks:
        with suppress(FileNotFoundError):
            (_SYS / "block" / disk / "device" / "delete").write_text("1")


async def log_out(target: Target) -> None:
    """Raises: VolumeError."""
    for portal in target.portals:
        for do in (("--logout",), ("-o", "delete")):
            await _iscsiadm(*target.node(portal), *do, fine=(_NO_SESSION, _NOTHING))
    if target.own_interface:
        await _iscsiadm("-m", "iface", *target.by, "-o", "delete", fine=(_NOTHING,))


async def _path(target: Target, portal: str, lun: int, secrets: Mapping[str, str]) -> Path:
    if found := _device(target, portal, lun):
        return found
    await _log_in(target, portal, secrets)
    for scan in _scans(target.iqn):
        scan.write_text(f"0 0 {lun}")
    for _ in range(int(_DEVICE_SECONDS / _STEP)):
        if found := _device(target, portal, lun):
            return found
        await asyncio.sleep(_STEP)
    raise VolumeError(f"Timed out waiting for device at path {_link(target, portal, lun)} after {_DEVICE_SECONDS}s")


async def _log_in(target: Target, portal: str, secrets: Mapping[str, str]) -> None:
    if target.discovers_by_chap:
        search = ("-m", "discoverydb", "-t", "sendtargets", "-p", portal, *target.by)
        await tools.run("iscsiadm", *search, "-o", "new")
        await _authenticate(search, "discovery.sendtargets.auth", secrets)
        await tools.run("iscsiadm", *search, "--discover")
    node = target.node(portal)
    await tools.run("iscsiadm", *node, "-o", "new")
    for name in ("node.session.scan", "node.startup"):
        await tools.run("iscsiadm", *node, "-o", "update", "-n", name, "-v", "manual")
    if target.logs_in_by_chap:
        await _authenticate(node, "node.session.auth", secrets)
    try:
        await _iscsiadm(*node, "--login", fine=(_EXISTS,))
    except VolumeError:
        await _iscsiadm(*node, "-o", "delete", fine=(_NOTHING,))
        raise


async def _authenticate(record: tuple[str, ...], prefix: str, secrets: Mapping[str, str]) -> None:
    """What goes wrong is told without the password."""
    keys = {name: secrets[name] for key in _KEYS if secrets.get(name := f"{prefix}.{key}")}
    for name, value in {f"{prefix}.authmethod": "CHAP", **keys}.items():
        try:
            await tools.run("iscsiadm", *record, "-o", "update", "-n", name, "-v", value)
        except VolumeError:
            raise VolumeError(f'failed to update iscsi record with key "{name}"') from None


async def _make_interface(target: Target) -> None:
    shown = await tools.run("iscsiadm", "-m", "iface", "-I", target.interface, "-o", "show")
    lines = [line.split() for line in shown.splitlines() if line.startswith("iface.") and "<empty>" not in line]
    settings = {name: value for name, _, value in lines if name != "iface.iscsi_ifacename"}
    await _iscsiadm("-m", "iface", *target.by, "-o", "new", fine=(_EXISTS,))
    for name, value in {**settings, "iface.initiatorname": target.initiator}.items():
        await tools.run("iscsiadm", "-m", "iface", *target.by, "-o", "update", "-n", name, "-v", value)


async def _iscsiadm(*arguments: str, fine: tuple[int, ...]) -> None:
    try:
        await tools.run("iscsiadm", *arguments)
    except VolumeError as failed:
        if not any(f"exit status {status}\n" in str(failed) for status in fine):
            raise


def _scans(iqn: str) -> list[Path]:
    """Where the kernel is told to look for a disk of the target, one for each session."""
    found = []
    for session in _SYS.glob("class/iscsi_session/session*"):
        host = next(part for part in session.resolve().parts if part.startswith("host"))
        if (session / "targetname").read_text().strip() == iqn:
            found.append(_SYS / "class" / "scsi_host" / host / "scan")
    return found


def _link(target: Target, portal: str, lun: int) -> Path:
    address = portal.replace("[", "").replace("]", "")
    return _BY_PATH / f"ip-{address}-iscsi-{target.iqn}-lun-{lun}"


def _device(target: Target, portal: str, lun: int) -> Path | None:
    try:
        return _link(target, portal, lun).resolve(strict=True)
    except FileNotFoundError:
        return None


def _multipath(disks: Iterable[str]) -> Path | None:
    names = set(disks)
    for mapped in _SYS.glob("block/dm-*"):
        if names & {slave.name for slave in (mapped / "slaves").iterdir()}:
            return Path("/dev") / mapped.name
    return None
