"""Sizes and costs between a least and a most; everything saturates at `UNKNOWN`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from pylet.api.cel.syntax import Node
from pylet.api.cel.types import Type

UNKNOWN = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Range:
    """A size or a cost, between `least` and `most`."""

    least: int
    most: int

    def __add__(self, other: Range) -> Range:
        return Range(min(self.least + other.least, UNKNOWN), min(self.most + other.most, UNKNOWN))

    def __mul__(self, other: Range) -> Range:
        return Range(min(self.least * other.least, UNKNOWN), min(self.most * other.most, UNKNOWN))

    def scale(self, factor: float) -> Range:
        return Range(_scaled(self.least, factor), _scaled(self.most, factor))

    def union(self, other: Range) -> Range:
        return Range(min(self.least, other.least), max(self.most, other.most))


def _scaled(size: int, factor: float) -> int:
    scaled = float(size) * factor
    return UNKNOWN if scaled >= 2.0**64 else math.ceil(scaled)


def fixed(size: int) -> Range:
    return Range(size, size)


ZERO, ONE, ANY = fixed(0), fixed(1), Range(0, UNKNOWN)
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """An argument as a function's estimate sees it."""

    node: Node | None
    type: Type
    path: Path
    size: Range | None


class Sizes(Protocol):
    """What is known of the arguments."""

    def part_size(self, part: Part) -> Range: ...

    def item_of(self, part: Part) -> Part | None:
        """The items of a list, as a part."""
