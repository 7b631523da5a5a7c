"""Base64 as JOSE writes it: for URLs, without padding. Pure. Source: RFC 7515 section 2."""

from __future__ import annotations

import base64


def encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decode(text: str) -> bytes:
    """Raises: ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
