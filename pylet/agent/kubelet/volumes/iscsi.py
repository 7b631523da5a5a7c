"""iscsi: a disk of another machine, logged in to by the node's own iscsiadm and mounted once for all pods.

What logging out must know is beside the disk's mount in `iscsi.json`. CHAP secrets and multipath are not served.
Source: upstream `pkg/volume/iscsi/iscsi_util.go`.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.disks import format_and_mount
from pylet.agent.kubelet.volumes.interface import Host, Place, VolumeError, VolumeType
from pylet.agent.kubelet.volumes.ownership import give_to_group
from pylet.api.object import Object

_FACTS = "iscsi.json"
_DEVICE_TRIES = 40


class Iscsi(VolumeType):
    source = "iscsi"
    plugin = "iscsi"

    async def mount(self, source: Object, place: Place) -> Path:
        tools.need("iscsiadm", "open-iscsi")
        if source.get("chapAuthDiscovery") or source.get("chapAuthSession"):
            raise VolumeError("CHAP is not served by this node")
        portal = source["targetPortal"] if ":" in source["targetPortal"] else f"{source['targetPortal']}:3260"
        disk = _disks(place.host) / place.name / "disk"
        async with place.host.lock(disk):
            device = await _log_in(portal, source)
            if place.is_block:
                return device
            disk.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            (disk.parent / _FACTS).write_text(json.dumps({"portal": portal, "iqn": source["iqn"]}))
            await format_and_mount(device, disk, source.get("fsType") or "ext4", place.mount_options)
            if not mounts.is_mounted(place.directory):
                place.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
                read_only = place.read_only or bool(source.get("readOnly"))
                mounts.bind(disk, place.directory, read_only=read_only)
                if not read_only:
                    given = {"only_on_root_mismatch": place.only_on_root_mismatch}
                    await asyncio.to_thread(give_to_group, place.directory, place.fs_group, **given)
        return place.directory

    async def unmount(self, directory: Path, host: Host) -> None:
        """The last pod that leaves logs out."""
        disk = _disks(host) / directory.name / "disk"
        others = [other for other in host.root.glob(f"pods/*/volumes/*iscsi/{directory.name}") if other != directory]
        if others or not disk.exists():
            return
        facts = json.loads((disk.parent / _FACTS).read_text())
        mounts.unmount_below(directory)
        mounts.unmount_below(disk)
        await tools.run("iscsiadm", "-m", "node", "-p", facts["portal"], "-T", facts["iqn"], "--logout")
        (disk.parent / _FACTS).unlink()
        disk.rmdir()
        disk.parent.rmdir()


async def _log_in(portal: str, source: Object) -> Path:
    device = f"/dev/disk/by-path/ip-{portal}-iscsi-{source['iqn']}-lun-{source['lun']}"
    if (found := _device(device)) is None:
        target = ("-m", "node", "-p", portal, "-T", source["iqn"], "-I", source.get("iscsiInterface") or "default")
        await tools.run("iscsiadm", *target, "-o", "new")
        await tools.run("iscsiadm", *target, "--login")
    for _ in range(_DEVICE_TRIES):
        if (found := found or _device(device)) is not None:
            return found
        await asyncio.sleep(0.25)
    raise VolumeError(f"could not attach disk: device {device} does not appear")


def _device(link: str) -> Path | None:
    try:
        return Path(link).resolve(strict=True)
    except FileNotFoundError:
        return None


def _disks(host: Host) -> Path:
    return host.root / "plugins" / "kubernetes.io" / "iscsi"


VOLUME = Iscsi()
