"""Files that are whole, or as they were before."""

from pathlib import Path

import pytest

from pylet.aio import wholefile


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_is_replaced_and_keeps_to_its_mode(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "below" / "file"
    wholefile.write(file, b"long ago", 0o644)
    wholefile.write(file, b"now", mode, durable=True)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"now", mode)
    assert list(file.parent.iterdir()) == [file]


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    wholefile.write(file, b"as it was")
    (tmp_path / ".file.new").mkdir()
    with pytest.raises(IsADirectoryError):
        wholefile.write(file, b"new")
    assert file.read_bytes() == b"as it was"
