"""How one value is sealed: the providers of an EncryptionConfiguration, in upstream's formats.

`place` is where the value is kept; AES-GCM ties the value to it, so that nobody moves a sealed value elsewhere.
Source: apiserver pkg/storage/value/encrypt/aes.
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as Block
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

_NONCE_BYTES = 12
_BLOCK_BYTES = 16


class Unreadable(ValueError):
    """A value that this key did not seal, or that was changed since."""


class Cipher(Protocol):
    def seal(self, value: bytes, place: bytes) -> bytes: ...

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Raises: Unreadable."""
        ...


class AesGcm:
    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, value: bytes, place: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as bad:
            raise Unreadable from bad


class AesCbc:
    def __init__(self, key: bytes) -> None:
        self._key = algorithms.AES(key)
        self._padding = PKCS7(_BLOCK_BYTES * 8)

    def seal(self, value: bytes, place: bytes) -> bytes:
        start = os.urandom(_BLOCK_BYTES)
        padder, encryptor = self._padding.padder(), Block(self._key, modes.CBC(start)).encryptor()
        return start + encryptor.update(padder.update(value) + padder.finalize()) + encryptor.finalize()

    def open(self, sealed: bytes, place: bytes) -> bytes:
        try:
            decryptor = Block(self._key, modes.CBC(sealed[:_BLOCK_BYTES])).decryptor()
            padded = decryptor.update(sealed[_BLOCK_BYTES:]) + decryptor.finalize()
            unpadder = self._padding.unpadder()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as bad:
            raise Unreadable from bad


CIPHERS: dict[str, type[AesGcm] | type[AesCbc]] = {"aesgcm": AesGcm, "aescbc": AesCbc}
"""By the provider's name in a configuration."""
KEY_BYTES = (16, 24, 32)
