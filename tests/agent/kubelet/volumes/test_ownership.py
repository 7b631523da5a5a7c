"""Whom a volume's files belong to when its pod has an fsGroup."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pylet.agent.kubelet.volumes.ownership import give_to_group, is_given

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
