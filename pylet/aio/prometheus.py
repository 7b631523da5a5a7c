"""What is counted, and numbers as Prometheus reads them: its text form, version 0.0.4. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

Sample: TypeAlias = tuple[Mapping[str, str], float | None, datetime | None]
"""Labels, value (None is not told) and the moment it was read (None is now)."""


SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Prometheus' own buckets."""


def doubling(first: float, count: int, by: float = 2) -> tuple[float, ...]:
    """Buckets, each of them `by` times the one before."""
    return tuple(first * by**power for power in range(count))


@dataclass(slots=True)
class Counter:
    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: str = "counter"
    """"gauge" is for what is told by being there, and for what changes seldom."""
    _values: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, *labels: str) -> None:
        self._values[labels] = self._values.get(labels, 0) + 1

    def raise_by(self, amount: int, *labels: str) -> None:
        self._values[labels] = self._values.get(labels, 0) + amount

    def set(self, value: int, *labels: str) -> None:
        """Of a gauge."""
        self._values[labels] = value

    def value(self, *labels: str) -> int:
        return self._values.get(labels, 0)

    def items(self) -> Iterable[tuple[tuple[str, ...], int]]:
        """By labels."""
        return self._values.items()

    def lines(self) -> Iterator[str]:
        """As Prometheus reads it; one without labels is told before it counted anything."""
        found = self._values or ({} if self.labels else {(): 0})
        if found:
            yield from _head(self.name, self.type, self.help)
        for labels, value in found.items():
            yield _sample(self.name, zip(self.labels, labels, strict=True), str(value))


@dataclass(slots=True)
class Histogram:
    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = SECONDS
    _rows: dict[tuple[str, ...], list[float]] = field(default_factory=dict)

    def observe(self, value: float, *labels: str) -> None:
        row = self._rows.get(labels) or self.row(*labels)
        row[bisect_left(self.bounds, value)] += 1
        row[-1] += value

    def row(self, *labels: str) -> list[float]:
        """How many values each bucket has, and their sum: for who observes so often that a call is too much."""
        return self._rows.setdefault(labels, [0] * (len(self.bounds) + 1) + [0.0])

    def labelled(self) -> list[tuple[str, ...]]:
        """What it has rows of."""
        return list(self._rows)

    def knows(self, *labels: str) -> bool:
        return labels in self._rows

    def counts(self, *labels: str) -> list[int]:
        """By bucket."""
        return [int(within) for within in self._rows.get(labels, [0.0])[:-1]]

    def lines(self) -> Iterator[str]:
        """As of a Counter."""
        if not self.labels:
            self.row()
        if self._rows:
            yield from _head(self.name, "histogram", self.help)
        for values, row in self._rows.items():
            labels = list(zip(self.labels, values, strict=True))
            count = 0.0
            for bound, within in zip((*map(_bound, self.bounds), "+Inf"), row[:-1], strict=True):
                count += within
                yield _sample(f"{self.name}_bucket", [*labels, ("le", bound)], f"{count:.0f}")
            yield _sample(f"{self.name}_sum", labels, f"{row[-1]:.6f}")
            yield _sample(f"{self.name}_count", labels, f"{count:.0f}")


def gauge(name: str, help_: str, labels: Mapping[str, str], value: float) -> Iterator[str]:
    return gauges(name, help_, [(labels, value)])


def gauges(name: str, help_: str, values: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    return family(name, "gauge", help_, ((labels, value, None) for labels, value in values))


def counts(name: str, help_: str, values: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    return family(name, "counter", help_, ((labels, value, None) for labels, value in values))


def family(name: str, type_: str, help_: str, samples: Iterable[Sample]) -> Iterator[str]:
    known = [(labels, value, at) for labels, value, at in samples if value is not None]
    if not known:
        return
    yield from _head(name, type_, help_)
    for labels, value, at in known:
        stamp = "" if at is None else f" {int(at.timestamp() * 1000)}"
        yield _sample(name, sorted(labels.items()), f"{value}{stamp}")


def _head(name: str, type_: str, help_: str) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {type_}"


def _sample(name: str, labels: Iterable[tuple[str, str]], told: str) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{inside}}} {told}" if inside else f"{name} {told}"


def in_seconds(samples: Iterable[tuple[Mapping[str, str], int | None, datetime | None]]) -> list[Sample]:
    """Of nanoseconds."""
    return [(labels, None if value is None else value / 1e9, at) for labels, value, at in samples]


def _bound(bound: float) -> str:
    """As Go writes the number."""
    return f"{bound:g}" if float(f"{bound:g}") == bound else repr(bound)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
