"""Keeps the disk of the images from filling up: those nobody uses go, the one unused for longest first.

Images of containers, pinned ones and such as came a moment ago stay. What is in use is looked at every five minutes.
Source: upstream `pkg/kubelet/images/image_gc_manager.go`, defaults and messages included.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.image_names import with_tag
from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.cri.interface import CriError, Runtime
from pylet.cri.messages import Container, Image

log = logging.getLogger(__name__)

_LOOK_SECONDS = 300.0
_EVER = datetime.min.replace(tzinfo=UTC)
_EVERYTHING = 1 << 62
_NO_CAPACITY = "invalid capacity 0 on image filesystem"

Filesystem = Callable[[], Awaitable[tuple[int, int, int, int]]]
"""Capacity and available bytes, inodes and free inodes of where images are."""
There = Callable[[Collection[str], datetime], None]
"""Hears which images there are, by their ids, and when it was that they were looked for."""


Tell = Callable[[str, str, str], None]
"""Makes an Event about the node: type, reason, message."""


class NotFreed(Exception):
    """Too little of the disk is taken by images that nobody uses, or nobody knows how large it is."""


def _nobody(ids: Collection[str], since: datetime) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """Above `high_percent` of the disk images are removed until it is below `low_percent`; 100 switches it off."""

    high_percent: int = 85
    low_percent: int = 80
    minimum_age: timedelta = timedelta(minutes=2)
    maximum_age: timedelta = timedelta(0)
    """What was not used for longer goes whatever the disk; 0 switches it off."""


@dataclass(frozen=True, slots=True)
class Known:
    """When an image was first seen, and last seen in use."""

    since: datetime
    used: datetime = _EVER


def noted(
    before: Mapping[str, Known] | None, images: Iterable[Image], used: Iterable[str], now: datetime
) -> dict[str, Known]:
    """What is known of each image after a look; what the first look finds was there long ago."""
    first = _EVER if before is None else now
    in_use, found = set(used), {}
    for image in images:
        known = (before or {}).get(image.id, Known(first))
        found[image.id] = Known(known.since, now) if image.id in in_use else known
    return found


def used_by(containers: Iterable[Container], images: Iterable[Image]) -> set[str]:
    """Ids of the images that containers were made of, by whatever name they were asked for."""
    names = {name: image.id for image in images for name in (image.id, *image.repo_tags, *image.repo_digests)}
    asked = {name for container in containers for name in (container.image_ref, container.image.image)}
    return {names[name] for name in asked if name in names}


def removable(images: Iterable[Image], known: Mapping[str, Known], now: datetime) -> list[Image]:
    """Those not in use at `now`, the one unused for longest first."""
    free = [image for image in images if not image.pinned and known[image.id].used < now]
    return sorted(free, key=lambda image: (known[image.id].used, known[image.id].since))


def too_old(
    images: Iterable[Image], known: Mapping[str, Known], policy: ImagePolicy, began: datetime, now: datetime
) -> list[Image]:
    """One never seen in use is as old as it is known; none was unused for longer than somebody looks, since `began`."""
    if not policy.maximum_age:
        return []
    ages = {id_: now - max(each.used, each.since, began) for id_, each in known.items()}
    return [image for image in removable(images, known, now) if ages[image.id] > policy.maximum_age]


def to_free(capacity: int, available: int, policy: ImagePolicy) -> int:
    """Bytes; 0 while less than the high threshold is used."""
    if policy.high_percent >= 100:
        return 0
    if 100 - int(available * 100 / capacity) < policy.high_percent:
        return 0
    return max(0, int(capacity * (100 - policy.low_percent) / 100) - available)


def mounted(pods: Iterable[Object]) -> set[str]:
    """The images that these pods mount as volumes, by the names they are asked for."""
    volumes = (volume for pod in pods for volume in pod["spec"].get("volumes") or () if "image" in volume)
    return {with_tag(volume["image"]["reference"]) for volume in volumes if volume["image"].get("reference")}


def shown(size: int) -> str:
    """Bytes, as upstream shows them."""
    if size < 1 << 10:
        return f"{size} B"
    power = min(4, (size.bit_length() - 1) // 10)
    return f"{size / (1 << 10 * power):.1f} {'KMGT'[power - 1]}iB"


class ImageGc:
    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        filesystem: Filesystem,
        policy: ImagePolicy,
        there: There = _nobody,
        *,
        tell: Tell,
        pods: Callable[[], Iterable[Object]] = tuple,
    ) -> None:
        """`pods` are those of the node: what they mount is in use."""
        self._runtime = runtime
        self._clock = clock
        self._filesystem = filesystem
        self._policy = policy
        self._there = there
        self._tell = tell
        self._pods = pods
        self._known: dict[str, Known] | None = None
        self._began = clock.now()

    async def run(self) -> None:
        has_failed = False
        while True:
            try:
                await self.collect()
            except (CriError, NotFreed) as failed:
                log.warning("look for unused images: %s", failed)
                if has_failed:  # once is no news
                    self._tell("Warning", "ImageGCFailed", str(failed))
                has_failed = True
            else:
                has_failed = False
            await self._clock.sleep(_LOOK_SECONDS)

    async def collect(self) -> None:
        """Raises: CriError, NotFreed."""
        images, now = await self._look()
        assert self._known is not None
        for image in too_old(images, self._known, self._policy, self._began, now):
            await self._remove(image, "age")
        capacity, available, _, _ = await self._filesystem()
        if not capacity:
            self._tell("Warning", "InvalidDiskCapacity", _NO_CAPACITY)
            raise NotFreed(_NO_CAPACITY)
        wanted = to_free(capacity, available, self._policy)
        if wanted:
            percent = 100 - int(available * 100 / capacity)
            log.info("disk of images is %d%% full: freeing %d bytes", percent, wanted)
            freed = await self._free(wanted)
            if freed < wanted:
                words = (
                    "Insufficient free disk space on the node's image filesystem "
                    f"({percent}% of {shown(capacity)} used). "
                    f"Failed to free sufficient space by deleting unused images (freed {freed} bytes). "
                    "Investigate disk usage, as it could be used by active images, logs, volumes, or other data."
                )
                self._tell("Warning", "FreeDiskSpaceFailed", words)
                raise NotFreed(words)

    async def free_everything(self) -> int:
        """Remove every image that is not in use, as eviction asks; bytes. Raises: CriError."""
        return await self._free(_EVERYTHING)

    async def _look(self) -> tuple[tuple[Image, ...], datetime]:
        began = self._clock.now()
        images, containers = await self._runtime.list_images(), await self._runtime.list_containers()
        used = used_by(containers, images)
        for name in mounted(self._pods()):
            if (image := await self._runtime.image_status(name)) is not None:
                used.add(image.id)
        now = self._clock.now()
        self._there({image.id for image in images}, began)
        self._known = noted(self._known, images, used, now)
        return images, now

    async def _free(self, wanted: int) -> int:
        images, now = await self._look()
        assert self._known is not None
        freed = 0
        for image in removable(images, self._known, now):
            if freed >= wanted:
                break
            known = self._known.get(image.id)  # not while eviction, which asks for the same at its own time, removes it
            if known is None or (known.since != _EVER and now - known.since < self._policy.minimum_age):
                continue
            freed += image.size if await self._remove(image, "space") else 0
        return freed

    async def _remove(self, image: Image, why: str) -> bool:
        try:
            await self._runtime.remove_image(image.id)
        except CriError as failed:
            log.warning("remove image %s: %s", image.id, failed)
            return False
        counters.IMAGES_REMOVED.add(why)
        log.info("removed unused image %s (%d bytes)", next(iter(image.repo_tags), image.id), image.size)
        assert self._known is not None
        self._known.pop(image.id, None)
        return True
