"""Files that only the holder of the node's private key reads."""

from __future__ import annotations

from pathlib import Path

from pylet.agent.offline.vault import Vault


def opened(directory: Path, key: bytes = b"a private key") -> Vault:
    (directory / "node.key").write_bytes(key)
    vault = Vault(directory / "offline", directory / "node.key")
    vault.open()
    return vault


def test_what_was_written_is_read_after_a_restart_and_is_nowhere_in_the_clear(tmp_path: Path) -> None:
    opened(tmp_path).write("a", b"password" * 9)
    assert opened(tmp_path).read("a") == b"password" * 9
    files = list((tmp_path / "offline").iterdir())
    assert {file.name for file in files} == {"a", "key"}
    assert all(b"password" not in file.read_bytes() and file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_another_key_reads_nothing_and_begins_anew(tmp_path: Path) -> None:
    opened(tmp_path).write("a", b"x")
    vault = opened(tmp_path, b"another")
    assert (vault.names(), vault.read("a")) == ([], None)


def test_a_renewed_key_goes_on_reading(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.write("a", b"x")
    (tmp_path / "node.key").write_bytes(b"renewed")
    vault.rekey()
    assert opened(tmp_path, b"renewed").read("a") == b"x"


def test_a_file_that_was_broken_or_renamed_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.write("a", b"x")
    (tmp_path / "offline" / "b").write_bytes((tmp_path / "offline" / "a").read_bytes())
    (tmp_path / "offline" / "a").write_bytes(b"cut")
    assert (vault.read("a"), vault.read("b"), vault.read("c")) == (None, None, None)
