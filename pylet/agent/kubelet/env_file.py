"""Variables out of a file that a container of the pod has written: `NAME='value'`, a strict part of the shell's syntax.

Source: upstream `pkg/kubelet/util/env/env_util.go` (ParseEnv), KEP-3721.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pylet.agent.kubelet.beneath import directory, open_file

_MOST_BYTES = 1 << 20


class NoEnvFile(Exception):
    """What does not follow the rules; the text says where."""


def value_in(text: str, key: str) -> str:
    """The value of `key`, whatever follows it; "" where it has none. Raises: NoEnvFile."""
    lines = iter(enumerate(text.removesuffix("\n").split("\n"), 1))
    for number, line in lines:
        line = line.removesuffix("\r").lstrip(" \t")
        if not line or line.startswith("#"):
            continue
        name, equals, rest = line.partition("=")
        wrong = f"invalid environment variable format at line {number}: "
        if not equals:
            raise NoEnvFile(f"{wrong}missing '='")
        if not name.strip(" \t"):
            raise NoEnvFile(f"{wrong}empty variable name")
        if name != name.rstrip(" \t"):
            raise NoEnvFile(f"{wrong}whitespace before '=' is not allowed")
        value = ""
        if rest[:1] not in (" ", "\t"):  # as a shell has it: a blank after the sign ends an empty value
            if not rest.startswith("'"):
                raise NoEnvFile(f"{wrong}value must be enclosed in single quotes")
            value, behind = rest[1:], ""
            while "'" not in value:
                try:
                    value += "\n" + next(lines)[1].removesuffix("\r")
                except StopIteration:
                    starting = f"invalid environment variable format starting at line {number}: unclosed single quote"
                    raise NoEnvFile(starting) from None
            value, _, behind = value.partition("'")
            if behind.lstrip(" \t")[:1] not in ("", "#"):
                raise NoEnvFile(f"{wrong}unexpected content after closing quote")
        if name == key:
            return value
    return ""


def read_all(wanted: Iterable[tuple[str, str]], volumes: Mapping[str, Path]) -> dict[tuple[str, str], str]:
    """What can be read of the files `wanted`: (volume, path below it). Blocks."""
    found: dict[tuple[str, str], str] = {}
    for volume, path in wanted:
        with (
            suppress(KeyError, OSError),
            directory(volumes[volume]) as root,
            open_file(root, path, follows_links=True) as file,
        ):
            found[volume, path] = file.read(_MOST_BYTES).decode(errors="surrogateescape")
    return found
