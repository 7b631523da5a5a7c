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

_FILE = Path(__file__).parent / f"{KUBERNETES.rpartition('.')[0]}.json.gz"


def definition(name: str) -> Object:
    """One OpenAPI definition as published, without descriptions; `x-go` says how Go encodes it (go_types.txt).

    Raises: KeyError.
    """
    found: Object = orjson.loads(_lines()[name])
    return found


def names() -> list[str]:
    return list(_lines())


@cache
def _lines() -> dict[str, bytes]:
    try:
        compressed = _FILE.read_bytes()
    except FileNotFoundError as missing:
        raise FileNotFoundError(f"{_FILE} is missing: run `python hatch_build.py` in the source checkout") from missing
    rows = [row.rstrip(b",").partition(b":") for row in gzip.decompress(compressed).splitlines()[1:-1]]
    return {name[1:-1].decode(): schema for name, _, schema in rows}
