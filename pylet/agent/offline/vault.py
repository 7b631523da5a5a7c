"""Sealed files: what this node knows of the cluster's secrets is readable only with the node's own private key.

A data key encrypts the files (AES-256-GCM, the file's name authenticated with it); the data key lies beside them,
encrypted with a key derived from the node's private key. So a renewed private key costs one small write. Files appear
whole or not at all; what cannot be read is as if it were not there.
"""

from __future__ import annotations

import hmac
import logging
import os
import zlib
from pathlib import Path

from pylet.aio import aead, wholefile

log = logging.getLogger(__name__)

_WRAPPED = "key"
_PURPOSE = b"pylet offline cache"


class Vault:
    """Files below `directory`, for who has the private key in `key_file` (PEM). Names have no slash and no dot."""

    def __init__(self, directory: Path, key_file: Path) -> None:
        self._directory = directory
        self._key_file = key_file
        self._key = b""

    def open(self) -> None:
        """Take up the data key; a fresh one, with nothing left of what the old one sealed, where it cannot be read."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for half in self._directory.glob("*.new"):  # writes that a power cut ended
            half.unlink()
        known = _opened(self._path(_WRAPPED), self._own_key())
        if known is not None:
            self._key = known
            return
        if self.names():
            log.warning("%s cannot be read with this node's key: it is begun anew", self._directory)
        for name in self.names():
            self.remove(name)
        self._key = os.urandom(32)
        self.rekey()

    def rekey(self) -> None:
        """Seal the data key with the private key as it is now."""
        if self._key:
            self._write(_WRAPPED, self._key, self._own_key())

    def names(self) -> list[str]:
        return [file.name for file in self._directory.iterdir() if file.name != _WRAPPED and not file.suffix]

    def read(self, name: str) -> bytes | None:
        found = _opened(self._path(name), self._key)
        return None if found is None else zlib.decompress(found)

    def write(self, name: str, content: bytes) -> None:
        """Raises: OSError."""
        self._write(name, zlib.compress(content), self._key)

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _write(self, name: str, content: bytes, key: bytes) -> None:
        nonce = os.urandom(aead.NONCE_BYTES)
        sealed = nonce + aead.seal(key, nonce, content, name.encode())
        wholefile.write(self._path(name), sealed, durable=True)

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _own_key(self) -> bytes:
        """HKDF (RFC 5869) with SHA-256, no salt, and as long as one hash."""
        extracted = hmac.digest(bytes(32), self._key_file.read_bytes(), "sha256")
        return hmac.digest(extracted, _PURPOSE + b"\x01", "sha256")


def _opened(path: Path, key: bytes) -> bytes | None:
    try:
        sealed = path.read_bytes()
        return aead.open_(key, sealed[: aead.NONCE_BYTES], sealed[aead.NONCE_BYTES :], path.name.encode())
    except (OSError, aead.Altered):
        return None
