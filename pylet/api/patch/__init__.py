"""Patches: JSON → JSON, pure; no function changes what it is given.

`BadPatch` is a patch that makes no sense (400), `Unprocessable` one that does not fit the object (422).
"""

from __future__ import annotations


class BadPatch(ValueError):
    """The patch itself is malformed."""


class Unprocessable(ValueError):
    """The patch is well-formed, and cannot be applied to this object."""
