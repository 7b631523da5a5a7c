"""The random ends of generated names. Source: apiserver pkg/storage/names/generate.go, apimachinery pkg/util/rand."""

from __future__ import annotations

import random

from pylet.api.names import SUFFIX_ALPHABET

LENGTH = 5


def random_suffix() -> str:
    return "".join(random.choices(SUFFIX_ALPHABET, k=LENGTH))
