"""Which images go, and how many bytes are too many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from pylet.agent.kubelet.image_gc import (
    ImageGc,
    ImagePolicy,
    Known,
    NotFreed,
    noted,
    removable,
    shown,
    to_free,
    too_old,
    used_by,
)
from pylet.aio.clock import SystemClock
from pylet.cri.memory import MemoryRuntime
from pylet.cri.messages import Container, Image, ImageSpec
from tests.agent.kubelet.builders import pod
from tests.sim import virtual
from tests.sim.virtual import LoopClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A = Image(id="sha256:a", repo_tags=("reg/a:1",), size=10)
B = Image(id="sha256:b", repo_tags=("reg/b:1",), size=20)
EVER = datetime.min.replace(tzinfo=UTC)
OLD = ImagePolicy(maximum_age=timedelta(hours=2))
PAUSE = Image(id="sha256:p", repo_tags=("reg/pause:1",), size=1, pinned=True)


@pytest.mark.parametrize(
    ("available", "policy", "bytes_"),
    [
        pytest.param(16, ImagePolicy(), 0, id="84% used"),
        pytest.param(15, ImagePolicy(), 5, id="85% used: down to 80%"),
        pytest.param(0, ImagePolicy(), 20, id="full"),
        pytest.param(0, ImagePolicy(high_percent=100), 0, id="switched off"),
    ],
)
def test_how_much_is_to_be_freed(available: int, policy: ImagePolicy, bytes_: int) -> None:
    assert to_free(100, available, policy) == bytes_


def test_images_are_in_use_by_whatever_name_they_were_asked_for() -> None:
    containers = [Container(image=ImageSpec(image="reg/a:1")), Container(image_ref="sha256:b")]
    assert used_by(containers, [A, B, PAUSE]) == {"sha256:a", "sha256:b"}


def test_the_one_unused_for_longest_goes_first_and_pinned_or_used_ones_stay() -> None:
    known = noted(None, [A, B, PAUSE], ["sha256:a"], NOW)
    known = noted(known, [A, B, PAUSE], ["sha256:b"], NOW + timedelta(minutes=5))
    later = NOW + timedelta(minutes=10)
    assert removable([A, B, PAUSE], noted(known, [A, B, PAUSE], [], later), later) == [A, B]
    assert removable([A, B, PAUSE], noted(known, [A, B, PAUSE], ["sha256:a"], later), later) == [B]


def test_what_comes_later_has_an_age() -> None:
    known = noted(noted(None, [A], [], NOW), [A, B], [], NOW + timedelta(minutes=5))
    assert known["sha256:b"].since == NOW + timedelta(minutes=5)
    assert known["sha256:a"].since < NOW


@pytest.mark.parametrize(
    ("known", "policy", "began", "gone"),
    [
        pytest.param((NOW, NOW), ImagePolicy(), 0, False, id="nobody asks"),
        pytest.param((NOW, NOW), OLD, 0, True, id="used longer ago"),
        pytest.param((NOW, NOW + timedelta(hours=2)), OLD, 0, False, id="used since"),
        pytest.param((EVER, EVER), OLD, 0, True, id="there when the kubelet began, and never used"),
        pytest.param((EVER, EVER), OLD, 2, False, id="not looked at for so long"),
        pytest.param((NOW + timedelta(hours=2), EVER), OLD, 0, False, id="not there for so long"),
    ],
)
def test_age_alone_removes_only_where_it_is_asked_for(
    known: tuple[datetime, datetime], policy: ImagePolicy, began: int, gone: bool
) -> None:
    later = NOW + timedelta(hours=3)
    found = too_old([A], {"sha256:a": Known(*known)}, policy, NOW + timedelta(hours=began), later)
    assert found == ([A] if gone else [])


class Interrupted(MemoryRuntime):
    """While it removes the first image, the rest are removed by somebody else."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def remove_image(self, reference: str) -> None:
        if self.meanwhile is not None:
            then, self.meanwhile = self.meanwhile, None
            await then()
        await super().remove_image(reference)


async def test_eviction_may_ask_for_the_same_at_the_same_time() -> None:
    async def full() -> tuple[int, int, int, int]:
        return 100, 5, 0, 0

    runtime = Interrupted()
    for name in ("a", "b", "c"):
        await runtime.pull_image(f"reg/{name}:1")
    images = ImageGc(runtime, SystemClock(), full, ImagePolicy(), tell=print)
    runtime.meanwhile = images.free_everything
    with suppress(NotFreed):  # what others removed it has not freed
        await images.collect()
    assert await runtime.list_images() == ()


async def full_of_other_things() -> tuple[int, int, int, int]:
    return 20 << 30, 1 << 30, 0, 0


def test_a_disk_that_stays_full_is_told_from_the_second_time_on() -> None:
    told: list[tuple[str, str, str]] = []

    async def story() -> None:
        images = ImageGc(
            MemoryRuntime(), LoopClock(), full_of_other_things, ImagePolicy(), tell=lambda *event: told.append(event)
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(400):
                await images.run()

    virtual.run(story())
    words = (
        "Insufficient free disk space on the node's image filesystem (95% of 20.0 GiB used). "
        "Failed to free sufficient space by deleting unused images (freed 0 bytes). "
        "Investigate disk usage, as it could be used by active images, logs, volumes, or other data."
    )
    free, failed = ("Warning", "FreeDiskSpaceFailed", words), ("Warning", "ImageGCFailed", words)
    assert told == [free, free, failed]


async def test_a_disk_of_no_size_at_all_is_told() -> None:
    async def nothing() -> tuple[int, int, int, int]:
        return 0, 0, 0, 0

    told: list[tuple[str, str, str]] = []
    images = ImageGc(MemoryRuntime(), SystemClock(), nothing, ImagePolicy(), tell=lambda *event: told.append(event))
    with pytest.raises(NotFreed, match="invalid capacity 0"):
        await images.collect()
    assert told == [("Warning", "InvalidDiskCapacity", "invalid capacity 0 on image filesystem")]


async def test_what_pods_mount_is_in_use() -> None:
    runtime = MemoryRuntime()
    for name in ("mounted", "unused"):
        await runtime.pull_image(f"reg/{name}:latest")
    of = pod(volumes=[{"name": "data", "image": {"reference": "reg/mounted"}}, {"name": "rest", "emptyDir": {}}])
    images = ImageGc(runtime, SystemClock(), full_of_other_things, ImagePolicy(), tell=print, pods=lambda: [of])
    await images.free_everything()
    assert [image.repo_tags for image in await runtime.list_images()] == [("reg/mounted:latest",)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1023, "1023 B"), (1024, "1.0 KiB"), (1536 << 10, "1.5 MiB"), (1 << 30, "1.0 GiB"), (3 << 50, "3072.0 TiB")],
)
def test_sizes_are_shown_in_powers_of_1024(size: int, expected: str) -> None:
    assert shown(size) == expected
