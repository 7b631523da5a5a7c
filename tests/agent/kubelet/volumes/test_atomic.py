"""Files that change all at once."""

from __future__ import annotations

import os
from pathlib import Path

from pylet.agent.kubelet.volumes.atomic import File, write


def files(**content: str) -> dict[str, File]:
    return {name.replace("__", "/"): File(text.encode(), 0o644) for name, text in content.items()}


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    assert write(tmp_path, files(a="1"))
    before = os.readlink(tmp_path / "..data")
    assert not write(tmp_path, files(a="1"))
    assert os.readlink(tmp_path / "..data") == before


def test_a_reader_in_the_old_directory_never_sees_the_new(tmp_path: Path) -> None:
    write(tmp_path, files(a="1", b="1"))
    old = os.open(tmp_path / "..data" / "a", os.O_RDONLY)
    write(tmp_path, files(a="2", b="2"))
    assert os.read(old, 10) == b"1"
    os.close(old)
    assert (tmp_path / "a").read_text() + (tmp_path / "b").read_text() == "22"


def test_only_one_generation_stays(tmp_path: Path) -> None:
    for generation in "123":
        write(tmp_path, files(a=generation))
    assert len([entry for entry in tmp_path.iterdir() if entry.name.startswith("..") and entry.is_dir()]) == 2


def test_paths_may_be_deep_and_go_away(tmp_path: Path) -> None:
    write(tmp_path, files(dir__deep="1", other="1"))
    assert (tmp_path / "dir" / "deep").read_text() == "1"
    assert os.readlink(tmp_path / "dir") == "..data/dir"
    write(tmp_path, files(other="1"))
    assert not (tmp_path / "dir").is_symlink()


def test_a_mode_that_changed_is_a_change(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"1", 0o644)})
    assert write(tmp_path, {"a": File(b"1", 0o400)})
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o400


def test_an_interrupted_write_is_written_over(tmp_path: Path) -> None:
    write(tmp_path, files(a="1"))
    (tmp_path / "..data_tmp").symlink_to("nowhere")
    write(tmp_path, files(a="2"))
    assert (tmp_path / "a").read_text() == "2"
