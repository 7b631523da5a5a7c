"""subPath with real mounts: what is inside of the volume is bound, nothing outside of it ever is."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pylet.agent.kubelet.volumes import mounts, subpath

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
_REFUSED = "No such file|Invalid cross-device link|Too many levels|File exists|Not a directory"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A volume beside a secret of the node; what was mounted below it is gone afterwards."""
    root = tmp_path / "volume"
    root.mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("the node's")
    yield root
    mounts.unmount_below(tmp_path)
    assert mounts.mounts_below(tmp_path) == []


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "volume-subpaths" / "data" / "main" / "0"


def test_a_directory_is_bound(volume: Path, target: Path) -> None:
    (volume / "a" / "b").mkdir(parents=True)
    (volume / "a" / "b" / "file").write_text("mine")
    subpath.bind(volume, "a/b", target)
    assert (target / "file").read_text() == "mine"


def test_a_file_is_bound_over_a_file(volume: Path, target: Path) -> None:
    (volume / "file").write_text("mine")
    subpath.bind(volume, "file", target)
    assert target.read_text() == "mine"


def test_what_is_missing_becomes_a_directory_with_the_mode_of_the_volume(volume: Path, target: Path) -> None:
    volume.chmod(0o2777)
    subpath.bind(volume, "new/deep", target)
    assert (volume / "new").stat().st_mode & 0o7777 == 0o2777
    assert (volume / "new" / "deep").stat().st_mode & 0o7777 == 0o2777


def test_a_link_that_stays_inside_is_followed(volume: Path, target: Path) -> None:
    (volume / "..data").mkdir()
    (volume / "..data" / "key").write_text("mine")
    (volume / "key").symlink_to("..data/key")
    subpath.bind(volume, "key", target)
    assert target.read_text() == "mine"


def test_binding_again_leaves_one_mount(volume: Path, target: Path) -> None:
    (volume / "a").mkdir()
    for _ in range(3):
        subpath.bind(volume, "a", target)
    assert mounts.mounts_below(target) == [target]


def test_what_was_replaced_in_the_volume_is_bound_anew(volume: Path, target: Path) -> None:
    (volume / "a").mkdir()
    subpath.bind(volume, "a", target)
    (volume / "a").rename(volume / "old")
    (volume / "a").write_text("now a file")
    subpath.bind(volume, "a", target)
    assert target.read_text() == "now a file"
    assert mounts.mounts_below(target) == [target]


@pytest.mark.parametrize(
    ("link", "inside"),
    [
        pytest.param("/", "link/etc", id="to the root of the node"),
        pytest.param("../secret", "link", id="to a neighbour of the volume (CVE-2017-1002101)"),
        pytest.param("../secret", "link/key", id="to a file of a neighbour"),
        pytest.param("../secret", "link/new", id="where something would be made outside"),
        pytest.param("/proc/self/root", "link", id="to a magic link"),
        pytest.param("nothing", "link/new", id="to nothing"),
    ],
)
def test_a_link_that_leads_out_is_refused(volume: Path, target: Path, link: str, inside: str) -> None:
    (volume / "link").symlink_to(link)
    with pytest.raises(OSError, match=_REFUSED):
        subpath.bind(volume, inside, target)
    assert not mounts.is_mounted(target)
    assert not (volume.parent / "secret" / "new").exists()


def test_a_name_that_changes_all_the_time_never_shows_the_node(volume: Path, target: Path, tmp_path: Path) -> None:
    """CVE-2021-25741: a directory is swapped for a link between being looked at and being mounted."""
    (volume / "dir").mkdir()
    (volume / "link").symlink_to("../secret")
    over, libc = threading.Event(), ctypes.CDLL(None)

    def swap() -> None:
        while not over.is_set():
            libc.renameat2(_HERE, os.fsencode(volume / "dir"), _HERE, os.fsencode(volume / "link"), _EXCHANGE)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for attempt in range(200):
            place = target.parent / str(attempt)
            try:
                subpath.bind(volume, "dir", place)
            except OSError:
                continue
            assert not (place / "key").exists()
            mounts.unmount(place)
    finally:
        over.set()
        swapper.join()
