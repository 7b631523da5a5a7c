"""How full a volume is, whatever its pod does meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.volumes.usage import usage


def test_a_directory_that_becomes_a_link_while_it_is_looked_at_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    (volume / "d").mkdir(parents=True)
    outside.mkdir()
    (outside / "large").write_bytes(bytes(1 << 20))
    before = usage(volume).used_bytes
    look = os.lstat

    def swap_after(path: Any, **named: Any) -> os.stat_result:
        found = look(path, **named)
        if path == "d":
            (volume / "d").rename(tmp_path / "away")
            (volume / "d").symlink_to(outside)
        return found

    monkeypatch.setattr(os, "lstat", swap_after)
    assert usage(volume).used_bytes <= before
    assert (volume / "d").is_symlink()


def test_what_lies_deeper_than_a_path_is_long_counts(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    name = "d" * 250
    for _ in range(40):
        os.mkdir(name, dir_fd=held)
        deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=held)
        os.close(held)
        held = deeper
    with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=held), "wb") as file:
        file.write(bytes(1 << 20))
    os.close(held)
    assert usage(tmp_path).used_bytes >= 1 << 20
