"""csi: volumes of CSI drivers, persistent ones and inline ephemeral ones: staged once a node, published once a pod.

What teardown must know is beside each volume in `vol_data.json`, as upstream writes it, so that it also works for pods
whose spec nobody has any more. Source: upstream `pkg/volume/csi/{csi_mounter,csi_attacher,csi_block}.go`, messages
included.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from pylet.agent.kubelet.volumes import csi_driver, expansion, mounts
from pylet.agent.kubelet.volumes.csi_driver import Can, CapacityRange, Driver, Expand, Publish, Stage
from pylet.agent.kubelet.volumes.csi_volume import Volume, csi_error
from pylet.agent.kubelet.volumes.interface import (
    MOUNT_DEVICE,
    SET_UP,
    Host,
    NoRoom,
    Place,
    VolumeError,
    VolumeType,
    Waiting,
)
from pylet.agent.kubelet.volumes.ownership import give_to_pod
from pylet.agent.kubelet.volumes.usage import Usage
from pylet.api import quantity
from pylet.api.errors import ApiError
from pylet.api.kinds.csidriver import KIND as CSI_DRIVER
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.volumeattachment import KIND as VOLUME_ATTACHMENT
from pylet.api.object import Key, Object, dig
from pylet.cri.socket import CallError

log = logging.getLogger(__name__)

_DATA = "vol_data.json"
_AGAIN = timedelta(minutes=1)
_RESOURCE_EXHAUSTED = 8  # gRPC's code
_TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"


class Csi(VolumeType):
    source = "csi"
    plugin = "csi"
    live = True

    async def mount(self, source: Object, place: Place) -> Path:
        facts = await place.references.read(CSI_DRIVER, Key("", source["driver"])) or {}
        volume = Volume(source, place, facts)
        target, again = volume.target(), place.directory in place.host.published
        driver = place.host.drivers.get(source["driver"])
        if driver is None and again:
            return target
        if driver is None:
            await _publish_context(volume)  # whoever has to attach it comes first
            raise _absent(_first_step(volume), source["driver"], SET_UP if volume.is_ephemeral else MOUNT_DEVICE)
        if again and not dig(facts, "spec", "requiresRepublish"):
            await _expand(volume, driver)
            return target
        volume.check_lifecycle()
        publish_context = await _publish_context(volume)
        try:
            can = await driver.can()
            staging = await _stage(volume, driver, can, publish_context)
            await _publish(volume, driver, can, publish_context, staging, again=again)
        except CallError as failed:
            raise VolumeError(str(failed)) from failed
        if volume.takes_group(can):
            await give_to_pod(place, target)
        place.host.published.add(place.directory)
        await _expand(volume, driver, can)
        if dig(facts, "spec", "requiresRepublish"):
            place.again_at(place.host.clock.now() + _AGAIN)
        return target

    async def unmount(self, directory: Path, host: Host) -> None:
        """Unpublish, and unstage when no other pod of the node has the volume; no pod waits for that to succeed.

        Raises: VolumeError.
        """
        host.published.discard(directory)
        published = _load(directory)
        data = published or host.half_staged.get(directory)
        if data is None:
            host.in_use.pop(directory, None)
            return
        driver = host.drivers.get(data["driverName"])
        if driver is None:
            raise _absent("Unmounter.TearDownAt failed to get CSI client", data["driverName"])
        handle, target = data["volumeHandle"], Path(data.get("targetPath") or directory / "mount")
        try:
            if published:
                await driver.unpublish(handle, str(target))
                _clear(target)
                (directory / _DATA).unlink(missing_ok=True)
        except CallError as failed:
            raise csi_error(f"Unmounter.TearDownAt failed: {failed}") from failed
        if data.get("stagingPath"):
            try:
                await _unstage(host, driver, handle, Path(data["stagingPath"]))
            except CallError as failed:
                log.warning("volume %s: attacher.UnmountDevice failed: %s", handle, failed)
                host.published.discard(Path(data["stagingPath"]))
                host.failed_to_unstage.add(driver.name)
        host.half_staged.pop(directory, None)
        host.in_use.pop(directory, None)


async def driver_usage(directory: Path, host: Host) -> Usage | None:
    """What the driver says of a published volume; None where it does not count. Raises: CallError."""
    data = _load(directory)
    driver = host.drivers.get(data["driverName"]) if data is not None else None
    if data is None or driver is None or Can.STATS not in await driver.can():
        return None
    found = {usage.unit: usage for usage in await driver.stats(data["volumeHandle"], data["targetPath"])}
    size, files = found.get(1, csi_driver.Usage()), found.get(2, csi_driver.Usage())
    return Usage(size.total, size.available, size.used, files.total, files.available, files.used)


async def unstage_unused(host: Host, driver: Driver) -> None:
    """What is staged for pods that are gone: by an earlier process, or because it failed. Raises: VolumeError."""
    for file in (host.root / "plugins" / "kubernetes.io" / "csi").glob(f"*/*/{_DATA}"):
        data = _load(file.parent)
        if data is None or data["driverName"] != driver.name:
            continue
        staging = file.parent / ("staging" if file.parent.parent.name == "volumeDevices" else "globalmount")
        try:
            await _unstage(host, driver, data["volumeHandle"], staging, unless_published=True)
        except CallError as failed:
            raise csi_error(f"attacher.UnmountDevice failed: {failed}") from failed


async def _stage(volume: Volume, driver: Driver, can: frozenset[int], context: Mapping[str, str]) -> str:
    """The staging path, "" for drivers that stage nothing."""
    if volume.is_ephemeral or Can.STAGE not in can:
        return ""
    staging, host = volume.staging(), volume.place.host
    async with host.lock(staging):
        if staging in host.published:
            return str(staging)
        staging.mkdir(parents=True, exist_ok=True, mode=0o750)
        _save(staging.parent, volumeHandle=volume.handle, driverName=volume.source["driver"])
        secrets = await _secrets(volume, "nodeStageSecretRef", "NodeStageSecretRef")
        capability = volume.capability(can)
        attributes = volume.source.get("volumeAttributes") or {}
        try:
            await driver.stage(Stage(volume.handle, context, str(staging), capability, secrets, attributes))
        except CallError as failed:
            half = {"driverName": driver.name, "volumeHandle": volume.handle, "stagingPath": str(staging)}
            if failed.is_final:
                _forget(staging, host)
                host.half_staged.pop(volume.place.directory, None)
            else:
                volume.place.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
                host.half_staged[volume.place.directory] = half
            raise VolumeError(str(failed), operation=MOUNT_DEVICE) from failed
        host.half_staged.pop(volume.place.directory, None)
        host.published.add(staging)
    return str(staging)


async def _publish(
    volume: Volume, driver: Driver, can: frozenset[int], context: Mapping[str, str], staging: str, *, again: bool
) -> None:
    place, target = volume.place, volume.target()
    secrets = await _secrets(volume, "nodePublishSecretRef", "NodePublishSecretRef")
    attributes = dict(volume.source.get("volumeAttributes") or {})
    if dig(volume.facts, "spec", "podInfoOnMount"):
        attributes |= _pod_info(volume)
    if tokens := await _tokens(volume):
        into = secrets if dig(volume.facts, "spec", "serviceAccountTokenInSecrets") else attributes
        into[_TOKENS] = tokens
    place.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    _save(
        place.directory,
        specVolID=place.name,
        volumeHandle=volume.handle,
        driverName=volume.source["driver"],
        nodeName=place.pod["spec"]["nodeName"],
        volumeLifecycleMode="Ephemeral" if volume.is_ephemeral else "Persistent",
        attachmentID=volume.attachment,
        targetPath=str(target),
        stagingPath=staging,
    )
    request = Publish(
        volume.handle,
        context,
        staging,
        str(target),
        volume.capability(can),
        volume.read_only,
        secrets,
        attributes,
    )
    try:
        await driver.publish(request)
    except CallError as failed:
        if failed.is_final and not again:
            _clear(target)
            (place.directory / _DATA).unlink(missing_ok=True)
        raise


async def _unstage(host: Host, driver: Driver, handle: str, staging: Path, *, unless_published: bool = False) -> None:
    async with host.lock(staging):
        if unless_published and staging in host.published:
            return
        files = (*host.root.glob(f"pods/*/volumes/*/*/{_DATA}"), *host.root.glob(f"pods/*/volumeDevices/*/*/{_DATA}"))
        if any((_load(file.parent) or {}).get("stagingPath") == str(staging) for file in files):
            return
        await driver.unstage(handle, str(staging))
        _forget(staging, host)


def _forget(staging: Path, host: Host) -> None:
    host.published.discard(staging)
    _clear(staging)
    (staging.parent / _DATA).unlink(missing_ok=True)
    with suppress(OSError):
        staging.parent.rmdir()


async def _expand(volume: Volume, driver: Driver, can: frozenset[int] | None = None) -> None:
    """Let the driver grow what its controller has made larger; looked at again as long as the pod runs."""
    place = volume.place
    if place.claim is None or place.volume is None:
        return
    size = ""
    try:
        can = await driver.can() if can is None else can
        if Can.EXPAND not in can:
            return
        place.again_at(place.host.clock.now() + _AGAIN)
        size = expansion.due(place.claim, place.volume)
        if not size:
            return
        if said := expansion.begun(place.claim):
            await place.references.say(place.claim, said)
        staging = str(volume.staging()) if Can.STAGE in can else ""
        secrets = await _secrets(volume, "nodeExpandSecretRef", "NodeExpandSecretRef")
        capability, target = volume.capability(can), str(volume.target())
        limit = CapacityRange(quantity.value_of(size))
        await driver.expand(Expand(volume.handle, target, limit, staging, capability, secrets))
        await expansion.tell(place, place.claim, size)
    except CallError as failed:
        if failed.is_final and size:
            now = place.host.clock.now()
            if said := expansion.refused(place.claim, size, failed.code, str(failed), now):
                await place.references.say(place.claim, said)
        if failed.code != "FailedPrecondition":  # not while it is in use: the pod may have it as it is
            raise VolumeError(str(failed), operation="MountVolume.NodeExpandVolume") from failed


async def _publish_context(volume: Volume) -> Mapping[str, str]:
    """What the driver's controller said when it attached the volume. Raises: Waiting while it is not attached."""
    if volume.is_ephemeral or not dig(volume.facts, "spec", "attachRequired", default=True):
        return {}
    place = volume.place
    place.host.in_use[place.directory] = f"kubernetes.io/csi/{volume.source['driver']}^{volume.handle}"
    found = await place.references.read(VOLUME_ATTACHMENT, Key("", volume.attachment))
    if found is None or not dig(found, "status", "attached"):
        is_full = dig(found, "status", "attachError", "errorCode") == _RESOURCE_EXHAUSTED
        may_change = dig(volume.facts, "spec", "nodeAllocatableUpdatePeriodSeconds")
        raise (NoRoom if is_full and may_change else Waiting)("Volume not attached according to node status")
    metadata: Mapping[str, str] = dig(found, "status", "attachmentMetadata", default={})
    return metadata


async def _secrets(volume: Volume, field: str, words: str) -> dict[str, str]:
    ref = volume.source.get(field)
    if not ref:
        return {}
    key = Key(ref.get("namespace") or volume.place.pod["metadata"]["namespace"], ref["name"])
    found = await volume.place.references.read(SECRET, key)
    if found is None:
        raise VolumeError(f'fetching {words} {key.namespace}/{key.name} failed: secrets "{key.name}" not found')
    return {name: b64decode(value or "").decode() for name, value in (found.get("data") or {}).items()}


async def _tokens(volume: Volume) -> str:
    """The ServiceAccount tokens the driver asks for, as JSON by audience; "" for none."""
    tokens, renewals = {}, []
    for request in dig(volume.facts, "spec", "tokenRequests", default=()):
        audience = request.get("audience", "")
        try:
            status, renew_at = await volume.place.references.token(
                volume.place.pod, audience, request.get("expirationSeconds", 3600)
            )
        except ApiError as refused:
            words = f"mounter.SetUpAt failed to get service accoount token attributes: {refused.message}"
            raise csi_error(words) from refused
        tokens[audience] = status
        renewals.append(renew_at)
    return json.dumps(tokens) if tokens else ""


def _pod_info(volume: Volume) -> dict[str, str]:
    meta = volume.place.pod["metadata"]
    return {
        "csi.storage.k8s.io/pod.name": meta["name"],
        "csi.storage.k8s.io/pod.namespace": meta["namespace"],
        "csi.storage.k8s.io/pod.uid": meta["uid"],
        "csi.storage.k8s.io/serviceAccount.name": volume.place.pod["spec"].get("serviceAccountName", ""),
        "csi.storage.k8s.io/ephemeral": "true" if volume.is_ephemeral else "false",
    }


def _save(directory: Path, **data: str) -> None:
    (directory / _DATA).write_text(json.dumps(data))


def _load(directory: Path) -> dict[str, str] | None:
    try:
        data: dict[str, str] = json.loads((directory / _DATA).read_text())
    except FileNotFoundError:
        return None
    return data


def _clear(target: Path) -> None:
    """A driver removes its target itself; some forget to."""
    if mounts.is_mounted(target):
        mounts.unmount(target)
    with suppress(FileNotFoundError):
        target.rmdir() if target.is_dir() else target.unlink()


def _first_step(volume: Volume) -> str:
    if volume.place.is_block:
        return "blockMapper.SetUpDevice failed to get CSI client"
    if volume.is_ephemeral:
        return "mounter.SetUpAt failed to get CSI client"
    return "attacher.MountDevice failed to create newCsiDriverClient"


def _absent(tried: str, driver: str, operation: str = SET_UP) -> VolumeError:
    words = f"{tried}: driver name {driver} not found in the list of registered CSI drivers"
    return csi_error(words, operation=operation)


VOLUME = Csi()
