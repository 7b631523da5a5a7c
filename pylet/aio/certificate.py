"""What a certificate's file says, as `ssl` reads it: `cryptography`, which could too, is 10 MiB of RSS."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Certificate:
    """`names` are the host names and IPs it is for, in the form that `canonical` gives them."""

    start: datetime
    end: datetime
    names: frozenset[str]

    def covers(self, name: str) -> bool:
        return canonical(name) in self.names


def read(path: Path) -> Certificate:
    """Raises: ValueError for a broken file, OSError."""
    try:
        found: dict[str, Any] = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    except ssl.SSLError as broken:
        raise ValueError(f"{path}: {broken}") from broken
    names = frozenset(canonical(name) for _, name in found.get("subjectAltName", ()))
    return Certificate(_moment(found["notBefore"]), _moment(found["notAfter"]), names)


def canonical(name: str) -> str:
    """Host names are alike in any case, addresses however they are written."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _moment(shown: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown), UTC)
