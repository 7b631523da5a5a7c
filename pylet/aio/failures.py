"""What the system said went wrong, for people."""

from __future__ import annotations


def in_words(failed: Exception) -> str:
    """What it is about and why; an error number means nothing to who reads an event."""
    if isinstance(failed, OSError) and failed.strerror:
        return f"{failed.filename}: {failed.strerror}" if failed.filename else failed.strerror
    return str(failed)
