"""The data of ConfigMaps and Secrets out of literals, files and env files.

Source: kubectl `pkg/cmd/create/create_configmap.go`, `pkg/cmd/util/env_file.go`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pylet.api import names
from pylet.cli.failure import Failure
from pylet.cli.kubectl.creating.maker import words


class Refusals(NamedTuple):
    """kubectl's words for what each kind refuses."""

    invalid_key: Callable[[str, str], str]
    doubled_key: Callable[[str], str]
    folder: str


OF_SECRET = Refusals(
    '"{}" is not valid key name for a Secret {}'.format,
    "cannot add key {}, another key by that name already exists".format,
    "env secret file cannot be a directory",
)


def of_configmap(name: str) -> Refusals:
    return Refusals(
        '"{}" is not a valid key name for a ConfigMap: {}'.format,
        f'cannot add key "{{}}", another key by that name already exists in Data for ConfigMap "{name}"'.format,
        "env config file cannot be a directory",
    )


def entries(options: Mapping[str, Any], refusals: Refusals) -> dict[str, bytes]:
    """What --from-literal, --from-file and --from-env-file say, by keys. Raises: Failure."""
    if options["from_env_file"] and (options["from_file"] or options["from_literal"]):
        raise Failure("error: from-env-file cannot be combined with from-file or from-literal")
    pairs = [
        *from_files(options["from_file"]),
        *map(_literal, options["from_literal"]),
        *(pair for path in words(options["from_env_file"]) for pair in _variables(Path(path), refusals)),
    ]
    return collected(pairs, refusals)


def collected(pairs: Iterable[tuple[str, bytes]], refusals: Refusals) -> dict[str, bytes]:
    """Raises: Failure."""
    data: dict[str, bytes] = {}
    for key, value in pairs:
        if problems := names.config_key(key):
            raise Failure(f"error: {refusals.invalid_key(key, ','.join(problems))}")
        if key in data:
            raise Failure(f"error: {refusals.doubled_key(key)}")
        data[key] = value
    return data


def _literal(text: str) -> tuple[str, bytes]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Failure(f"error: invalid literal source {text}, expected key=value")
    return key, value.encode()


def from_files(sources: Sequence[str], *, default_key: str = "") -> Iterator[tuple[str, bytes]]:
    """Of `[KEY=]PATH` what the file holds, or the files of a folder; `default_key` "" is the file's name.

    Every file is read once, because one may be a pipe. Raises: Failure.
    """
    for source in words(sources):
        key, equals, path = source.rpartition("=")
        if equals and not key:
            raise Failure(f"error: key name for file path {path} missing")
        if equals and not path:
            raise Failure(f"error: file path for key name {key} missing")
        if "=" in key:
            raise Failure("error: key names or file paths cannot contain '='")
        place, key = Path(path), key or default_key
        if not place.is_dir():
            yield key or place.name, read(place)
        elif key:
            raise Failure("error: cannot give a key name for a directory path")
        else:
            yield from ((file.name, read(file)) for file in sorted(place.iterdir()) if file.is_file())


def _variables(path: Path, refusals: Refusals) -> Iterator[tuple[str, bytes]]:
    """`NAME=VALUE` lines, and of a NAME alone what the environment says."""
    if path.is_dir():
        raise Failure(f"error: {refusals.folder}")
    for line in read(path).decode("utf-8-sig").splitlines():
        text = line.lstrip()
        if text and not text.startswith("#"):
            name, equals, value = text.partition("=")
            yield name, (value if equals else os.environ.get(name, "")).encode()


def read(path: Path, failing: str = "error reading {}: {}") -> bytes:
    """Raises: Failure."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"error: {failing.format(path, str(error.strerror).lower())}") from None
