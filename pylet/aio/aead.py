"""AES-256-GCM by the libcrypto that `ssl` has loaded anyway: `cryptography` brings another, 7 MiB of RSS.

It is used where Python's `ssl` has its libcrypto inside itself and shows nothing of it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_void_p, create_string_buffer
from functools import cache
from typing import Any

NONCE_BYTES = 12
_TAG_BYTES = 16
_GET_TAG, _SET_TAG = 0x10, 0x11  # openssl/evp.h
_INIT = (c_int, c_void_p, c_void_p, c_void_p, c_char_p, c_char_p)
_UPDATE = (c_int, c_void_p, c_char_p, c_void_p, c_char_p, c_int)
_FINAL = (c_int, c_void_p, c_char_p, c_void_p)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "EVP_CIPHER_CTX_new": (c_void_p,),
    "EVP_CIPHER_CTX_free": (None, c_void_p),
    "EVP_CIPHER_CTX_ctrl": (c_int, c_void_p, c_int, c_int, c_char_p),
    "EVP_aes_256_gcm": (c_void_p,),
    "EVP_EncryptInit_ex": _INIT,
    "EVP_EncryptUpdate": _UPDATE,
    "EVP_EncryptFinal_ex": _FINAL,
    "EVP_DecryptInit_ex": _INIT,
    "EVP_DecryptUpdate": _UPDATE,
    "EVP_DecryptFinal_ex": _FINAL,
}


class Altered(Exception):
    """What is to be opened was not sealed so, with this key and this name."""


def seal(key: bytes, nonce: bytes, content: bytes, name: bytes) -> bytes:
    """`name` is not part of what comes out, but whoever opens it must give the same."""
    library = _libcrypto()
    if library is None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(key).encrypt(nonce, content, name)
    with _Cipher(library, "Encrypt", key, nonce) as cipher:
        cipher.update(name, None)
        sealed = create_string_buffer(len(content))
        cipher.update(content, sealed)
        if not cipher.final():
            raise RuntimeError("libcrypto does not encrypt")
        tag = create_string_buffer(_TAG_BYTES)
        cipher.control(_GET_TAG, tag)
    return sealed.raw + tag.raw


def open_(key: bytes, nonce: bytes, sealed: bytes, name: bytes) -> bytes:
    """Raises: Altered."""
    library = _libcrypto()
    if library is None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(key).decrypt(nonce, sealed, name)
        except (InvalidTag, ValueError) as altered:
            raise Altered from altered
    if len(sealed) < _TAG_BYTES or len(nonce) != NONCE_BYTES:
        raise Altered
    with _Cipher(library, "Decrypt", key, nonce) as cipher:
        cipher.update(name, None)
        content = create_string_buffer(len(sealed) - _TAG_BYTES)
        cipher.update(sealed[:-_TAG_BYTES], content)
        cipher.control(_SET_TAG, create_string_buffer(sealed[-_TAG_BYTES:], _TAG_BYTES))
        if not cipher.final():
            raise Altered
    return content.raw


class _Cipher:
    """One message's EVP_CIPHER_CTX."""

    def __init__(self, library: ctypes.CDLL, way: str, key: bytes, nonce: bytes) -> None:
        if len(key) != 32 or len(nonce) != NONCE_BYTES:
            raise ValueError("a key of 32 bytes and a nonce of 12 are needed")
        self._library = library
        self._context = library.EVP_CIPHER_CTX_new()
        self._update: Callable[..., int] = getattr(library, f"EVP_{way}Update")
        self._final: Callable[..., int] = getattr(library, f"EVP_{way}Final_ex")
        start: Callable[..., int] = getattr(library, f"EVP_{way}Init_ex")
        _insist(start(self._context, library.EVP_aes_256_gcm(), None, key, nonce))

    def __enter__(self) -> _Cipher:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.EVP_CIPHER_CTX_free(self._context)

    def update(self, content: bytes, into: Any) -> None:
        _insist(self._update(self._context, into, byref(c_int()), content, len(content)))

    def control(self, what: int, tag: Any) -> None:
        _insist(self._library.EVP_CIPHER_CTX_ctrl(self._context, what, _TAG_BYTES, tag))

    def final(self) -> bool:
        return self._final(self._context, create_string_buffer(_TAG_BYTES), byref(c_int())) == 1


def _insist(returned: int) -> None:
    if returned != 1:
        raise RuntimeError("libcrypto does not do AES-256-GCM")


@cache
def _libcrypto() -> ctypes.CDLL | None:
    """As `_ssl` sees it: a library's handle finds what its own libraries export."""
    import _ssl

    try:
        library = ctypes.CDLL(_ssl.__file__)
        for name, (returned, *arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returned, arguments
    except (AttributeError, OSError):
        return None
    return library
