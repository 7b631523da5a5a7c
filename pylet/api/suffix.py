"""Ends of generated names. Source: apiserver pkg/storage/names/generate.go, apimachinery pkg/util/rand."""

from __future__ import annotations

import random

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # consonants and digits that form no words
LENGTH = 5


def random_suffix() -> str:
    return "".join(random.choices(ALPHABET, k=LENGTH))
