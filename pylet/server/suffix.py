"""The random ends of generated names. Source: apiserver pkg/storage/names/generate.go, apimachinery pkg/util/rand."""

from __future__ import annotations

import random

_CHARS = "bcdfghjklmnpqrstvwxz2456789"
LENGTH = 5


def random_suffix() -> str:
    return "".join(random.choices(_CHARS, k=LENGTH))
