"""iscsi: another machine's disk, logged in to by the node's own iscsiadm, mounted once for all pods or given as it is.

Below the plugin's directory each target has one, in it one for each of its disks: who uses the disk and what logging
out must know is in its `iscsi.json`, from before it is logged in to until it is not.
Source: upstream `pkg/volume/iscsi/{iscsi,iscsi_util}.go`.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.disks import format_and_mount
from pylet.agent.kubelet.volumes.interface import Host, Place, VolumeError, VolumeType
from pylet.agent.kubelet.volumes.iscsi_target import Target, attach, let_go, log_out
from pylet.agent.kubelet.volumes.ownership import give_to_pod
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object

_FACTS = "iscsi.json"


class Iscsi(VolumeType):
    source = "iscsi"
    plugin = "iscsi"

    async def mount(self, source: Object, place: Place) -> Path:
        tools.need("iscsiadm", "open-iscsi")
        target = _target(source, place.name)
        secrets = await _secrets(source, place)
        home = _targets(place.host) / quote(target.iqn, safe=":")
        disk = home / f"lun-{source['lun']}"
        async with place.host.lock(home):
            place.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            await asyncio.to_thread(_note, disk, target, str(place.directory.relative_to(place.host.root)))
            device = await attach(target, source["lun"], secrets)
            if place.is_block:
                return device
            await format_and_mount(device, disk / "mount", source.get("fsType") or "ext4", place)
            if not mounts.is_mounted(place.directory):
                read_only = place.read_only or bool(source.get("readOnly"))
                mounts.bind(disk / "mount", place.directory, read_only=read_only)
                if not read_only:
                    await give_to_pod(place, place.directory)
        return place.directory

    async def unmount(self, directory: Path, host: Host) -> None:
        """The last pod that leaves a disk lets go of it, and logs out of a target without another disk in use."""
        user = str(directory.relative_to(host.root))
        for disk in [facts.parent for facts in _targets(host).glob(f"*/lun-*/{_FACTS}")]:
            async with host.lock(disk.parent):
                facts = _facts(disk)
                if user not in facts.get("users", ()):
                    continue
                mounts.unmount_below(directory)
                facts["users"].remove(user)
                if not facts["users"]:
                    await _leave(disk, _target(facts, ""), facts["lun"])
                else:
                    _write(disk, facts)


async def _leave(disk: Path, target: Target, lun: int) -> None:
    """Known, with its last user, until all of it is done. Raises: VolumeError."""
    mounts.unmount_below(disk)
    await let_go(target, lun)
    if not [other for other in disk.parent.iterdir() if other != disk]:
        await log_out(target)
    await asyncio.to_thread(_forget, disk)


def _forget(disk: Path) -> None:
    (disk / _FACTS).unlink()
    for left in (disk / "mount", disk, disk.parent):
        if left.exists() and not any(left.iterdir()):
            left.rmdir()


def _target(source: Object, volume: str) -> Target:
    """What a volume's source says, or `iscsi.json`, which has the same fields."""
    portals = dict.fromkeys((source["targetPortal"], *(source.get("portals") or ())))
    initiator, interface = source.get("initiatorName") or "", source.get("iscsiInterface") or "default"
    full = tuple(portal if ":" in portal else f"{portal}:3260" for portal in portals)
    own = source.get("ownInterface") or (f"{full[0]}:{volume}" if initiator else "")
    discovers, logs_in = bool(source.get("chapAuthDiscovery")), bool(source.get("chapAuthSession"))
    return Target(source["iqn"], full, interface, initiator, own, discovers, logs_in)


def _note(disk: Path, target: Target, user: str) -> None:
    """`user` uses it, which is known from before anything is done for it."""
    disk.mkdir(parents=True, exist_ok=True, mode=0o750)
    facts = _facts(disk) or {
        "targetPortal": target.portals[0],
        "portals": target.portals[1:],
        "iqn": target.iqn,
        "lun": int(disk.name.removeprefix("lun-")),
        "iscsiInterface": target.interface,
        "initiatorName": target.initiator,
        "ownInterface": target.own_interface,
        "users": [],
    }
    if user not in facts["users"]:
        facts["users"].append(user)
        _write(disk, facts)


def _facts(disk: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((disk / _FACTS).read_text())
    except FileNotFoundError:
        return {}
    return found


def _write(disk: Path, facts: dict[str, Any]) -> None:
    new = disk / f"{_FACTS}.new"
    new.write_text(json.dumps(facts))
    new.replace(disk / _FACTS)


async def _secrets(source: Object, place: Place) -> dict[str, str]:
    """The names and passwords of CHAP. Raises: VolumeError, ApiError."""
    if not (source.get("chapAuthDiscovery") or source.get("chapAuthSession")):
        return {}
    if not (ref := source.get("secretRef")):
        raise VolumeError("CHAP enabled but secret name is empty")
    key = Key(ref.get("namespace") or place.pod["metadata"]["namespace"], ref["name"])
    found = await place.references.read(SECRET, key)
    if found is None:
        raise VolumeError(f'failed to get secret from ["{key.namespace}"/"{key.name}"]: not found')
    return {name: b64decode(value or "").decode() for name, value in (found.get("data") or {}).items()}


def _targets(host: Host) -> Path:
    return host.root / "plugins" / "kubernetes.io" / "iscsi"


VOLUME = Iscsi()
