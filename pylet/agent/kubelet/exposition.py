"""Numbers as Prometheus reads them: its text form, version 0.0.4. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeAlias

Sample: TypeAlias = tuple[Mapping[str, str], float | None, datetime | None]
"""Labels, value (None is not told) and the moment it was read (None is now)."""


def family(name: str, type_: str, help_: str, samples: Iterable[Sample]) -> Iterator[str]:
    known = [(labels, value, at) for labels, value, at in samples if value is not None]
    if not known:
        return
    yield from head(name, type_, help_)
    for labels, value, at in known:
        stamp = "" if at is None else f" {int(at.timestamp() * 1000)}"
        yield sample(name, sorted(labels.items()), f"{value}{stamp}")


def head(name: str, type_: str, help_: str) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {type_}"


def sample(name: str, labels: Iterable[tuple[str, str]], told: str) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{inside}}} {told}" if inside else f"{name} {told}"


def in_seconds(samples: Iterable[tuple[Mapping[str, str], int | None, datetime | None]]) -> list[Sample]:
    """Of nanoseconds."""
    return [(labels, None if value is None else value / 1e9, at) for labels, value, at in samples]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
