"""What one node's kubelet said at one moment, and how much was used between two of them. Pure.

Source: metrics-server `pkg/scraper/client/resource/decode.go`, `pkg/storage/{node,pod}.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from pylet.api.object import Key

_LINE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)(?: (\d+))?$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_FRESH_SECONDS = 10.0, 60.0
"""How old a container is that is first seen and whose use since its start says something."""


class Point(NamedTuple):
    """`at` and `started` in seconds since the epoch; `started` is 0 where nobody said it."""

    at: float = 0.0
    cpu_seconds: float = -1.0
    memory_bytes: int = -1
    started: float = 0.0

    @property
    def is_whole(self) -> bool:
        return self.at > 0 and self.cpu_seconds >= 0 and self.memory_bytes >= 0


_NOTHING = Point()


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of a kubelet's `/metrics/resource`; containers by their pod and name."""

    node: Point = _NOTHING
    pods: dict[Key, dict[str, Point]] = field(default_factory=dict)


class Use(NamedTuple):
    """`at` is the end of the window, in seconds since the epoch."""

    at: float
    window: timedelta
    cpu_nanocores: int
    memory_bytes: int


def read(text: str) -> Sample:
    """Lines of other families, and such as nobody could have meant, are passed over."""
    node: dict[str, float] = {}
    pods: dict[Key, dict[str, dict[str, float]]] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        family, labels, value, stamp = found.groups()
        scope, _, measure = family.partition("_")
        name = _MEASURES.get(measure)
        if name is None or scope not in ("node", "container"):
            continue
        into = node
        if scope == "container":
            at = dict(_LABEL.findall(labels or ""))
            key = Key(at.get("namespace", ""), at.get("pod", ""))
            into = pods.setdefault(key, {}).setdefault(at.get("container", ""), {})
        into[name] = float(value)
        if name == "cpu_seconds" and stamp:
            into["at"] = int(stamp) / 1000
    return Sample(_point(node), {k: {name: _point(c) for name, c in pod.items()} for k, pod in pods.items()})


_MEASURES = {
    "cpu_usage_seconds_total": "cpu_seconds",
    "memory_working_set_bytes": "memory_bytes",
    "start_time_seconds": "started",
}


def _point(values: dict[str, float]) -> Point:
    return Point(
        values.get("at", 0.0),
        values.get("cpu_seconds", -1.0),
        int(values.get("memory_bytes", -1)),
        values.get("started", 0.0),
    )


def use_between(before: Point | None, after: Point) -> Use | None:
    """None where the two do not tell: one is missing, or the counter began anew between them."""
    if not after.is_whole:
        return None
    age = after.at - after.started
    if before is None or not before.is_whole or before.started != after.started:
        if not (after.started and _FRESH_SECONDS[0] <= age < _FRESH_SECONDS[1]):
            return None
        before = Point(after.started, 0.0, 0, after.started)
    seconds = after.at - before.at
    if seconds <= 0 or after.cpu_seconds < before.cpu_seconds:
        return None
    cores = (after.cpu_seconds - before.cpu_seconds) / seconds
    return Use(after.at, timedelta(seconds=round(seconds, 3)), int(cores * 1e9), after.memory_bytes)


def pod_use(before: Sample, after: Sample, pod: Key) -> dict[str, Use] | None:
    """By container; None where a container's use is not known: half a pod would mislead who adds it up."""
    earlier = before.pods.get(pod, {})
    found = {name: use_between(earlier.get(name), point) for name, point in after.pods.get(pod, {}).items()}
    known = {name: use for name, use in found.items() if use is not None}
    return known if known and len(known) == len(found) else None
