"""The published definitions, read from the compiled file on first use and parsed one at a time.

The file is JSON with one definition a line (hatch_build.py), so what nobody asks for stays 373 KB of bytes.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import orjson

from pylet.api.object import Object
from pylet.version import KUBERNETES

_FOLDER = Path(__file__).parent
_MINOR = KUBERNETES.rpartition(".")[0]


def definition(name: str) -> Object:
    """One OpenAPI definition as published, without descriptions; `x-go` says how Go encodes it (go_types.txt).

    Raises: KeyError.
    """
    found: Object = orjson.loads(_definitions()[name])
    return found


def is_published(name: str) -> bool:
    return name in _definitions()


def descriptions() -> dict[str, bytes]:
    """The texts of each definition, still as JSON: by field, "" for its own. Read anew each time, since few ask."""
    return _lines(f"{_MINOR}.text.json.gz")


@cache
def _definitions() -> dict[str, bytes]:
    return _lines(f"{_MINOR}.json.gz")


def _lines(file: str) -> dict[str, bytes]:
    try:
        compressed = (_FOLDER / file).read_bytes()
    except FileNotFoundError as missing:
        raise FileNotFoundError(
            f"{_FOLDER / file} is missing: run `python hatch_build.py` in the checkout"
        ) from missing
    rows = [row.rstrip(b",").partition(b":") for row in gzip.decompress(compressed).splitlines()[1:-1]]
    return {name[1:-1].decode(): json for name, _, json in rows}
