"""The order of API versions: v2, v1, v1beta1, v1alpha1, then the rest by name. Source: apimachinery util/version."""

from __future__ import annotations

import re

_KUBERNETES = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?")
_STAGES = {"alpha": 0, "beta": 1, None: 2}


def priority(version: str) -> tuple[int, int, int, tuple[int, ...]]:
    """Sorts versions, the one to prefer last."""
    found = _KUBERNETES.fullmatch(version)
    if found is None:
        return -1, 0, 0, tuple(-ord(char) for char in version)
    major, stage, minor = found.groups()
    return _STAGES[stage], int(major), int(minor or 0), ()
