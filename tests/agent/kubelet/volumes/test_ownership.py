"""Whom a volume's files belong to when its pod has an fsGroup."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.volumes import ownership
from pylet.agent.kubelet.volumes.interface import Host, Place
from pylet.agent.kubelet.volumes.ownership import Progress, give_to_group, give_to_pod, is_given
from pylet.aio.clock import VirtualClock
from tests.agent.kubelet.builders import pod

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
_GROUP = 4321


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    root = tmp_path / "volume"
    (root / "dir").mkdir(parents=True)
    (root / "dir" / "file").write_text("mine")
    (root / "dir" / "file").chmod(0o600)
    (tmp_path / "outside").write_text("the node's")
    (tmp_path / "outside").chmod(0o600)
    (root / "link").symlink_to("../outside")
    return root


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def test_files_are_for_the_group_and_new_ones_will_be(volume: Path) -> None:
    give_to_group(volume, _GROUP)
    assert {path.lstat().st_gid for path in (volume, *volume.rglob("*"))} == {_GROUP}
    assert mode(volume / "dir" / "file") == 0o660
    assert mode(volume / "dir") == 0o2775
    assert mode(volume) == 0o2775


def test_what_a_link_leads_to_is_left_alone(volume: Path) -> None:
    give_to_group(volume, _GROUP)
    outside = volume.parent / "outside"
    assert (outside.stat().st_gid, mode(outside)) == (0, 0o600)


def test_a_read_only_volume_is_only_readable(volume: Path) -> None:
    give_to_group(volume, _GROUP, read_only=True)
    assert mode(volume / "dir" / "file") == 0o640


def test_without_a_group_nothing_changes(volume: Path) -> None:
    give_to_group(volume, None)
    assert mode(volume / "dir" / "file") == 0o600


@pytest.mark.parametrize(
    ("root_mode", "gid", "given"),
    [
        pytest.param(0o2775, _GROUP, True, id="all as it should be"),
        pytest.param(0o775, _GROUP, False, id="new files would not be the group's"),
        pytest.param(0o2755, _GROUP, False, id="the group cannot write"),
        pytest.param(0o2775, 0, False, id="another group"),
    ],
)
def test_the_root_stands_for_the_rest_where_the_policy_says_so(
    volume: Path, root_mode: int, gid: int, given: bool
) -> None:
    os.chown(volume, -1, gid)
    volume.chmod(root_mode)
    assert is_given(volume, _GROUP) is given
    give_to_group(volume, _GROUP, only_on_root_mismatch=True)
    assert ((volume / "dir" / "file").stat().st_gid == _GROUP) is not given


async def test_what_takes_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    clock, is_given = VirtualClock(), threading.Event()

    def slowly(*_: Any, progress: Progress, **__: Any) -> None:
        progress.files = 7
        is_given.wait(60)

    def tell(_: Any, type_: str, reason: str, message: str) -> None:
        told.append(f"{type_} {reason} {message}")

    monkeypatch.setattr(ownership, "give_to_group", slowly)
    directory = tmp_path / "pods" / "u1" / "volumes" / "kubernetes.io~csi" / "data"
    host, nothing = Host(tmp_path, clock, tell=tell), Any
    place = Place(pod(securityContext={"fsGroup": _GROUP}), "data", directory, nothing, nothing, host)  # type: ignore[arg-type]
    giving = asyncio.create_task(give_to_pod(place, directory / "mount"))
    await clock.advance(29)
    assert not told
    for seconds in (1, 60):
        await clock.advance(seconds)
    is_given.set()
    await giving
    await clock.advance(60)
    words = "Warning VolumePermissionChangeInProgress Setting volume ownership for"
    slow, done = told
    assert slow.startswith(f"{words} u1/volumes/kubernetes.io~csi/data/mount is taking longer than expected, consider")
    assert done == f"{words} u1/volumes/kubernetes.io~csi/data/mount, processed 7 files."


def test_files_are_counted(volume: Path) -> None:
    progress = Progress()
    give_to_group(volume, _GROUP, progress=progress)
    assert progress.files == len([volume, *volume.rglob("*")])
