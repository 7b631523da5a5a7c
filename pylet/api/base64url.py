"""Base64 as JOSE writes it: for URLs, without padding. Pure. Source: RFC 7515 section 2."""

from __future__ import annotations

import base64
import re

_TEXT = re.compile(r"[A-Za-z0-9_-]*")


def encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decode(text: str) -> bytes:
    """Raises: ValueError."""
    if _TEXT.fullmatch(text) is None:
        raise ValueError("illegal base64 data")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
