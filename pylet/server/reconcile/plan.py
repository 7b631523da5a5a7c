"""What a controller is and what it may ask for. A controller decides from a key and a View; it never acts.

A plan is idempotent and level-based: the plan of a settled picture is `NOTHING`. Planning again after any write is what
makes progress, so a plan need only say what should happen next, not all that will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from math import inf
from typing import Any, TypeAlias

from pylet.aio.prometheus import Counter, Histogram
from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.object import Key, Object, controller_of, key_of
from pylet.client.view import Entry, View


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell users: an Event about an object. `type` is Normal or Warning."""

    about: Object
    reason: str
    message: str
    type: str = "Normal"


@dataclass(frozen=True, slots=True)
class Create:
    """`told` is emitted after success, `{name}` in it filled in; `refused` are the actions its failure calls for."""

    kind: Kind
    object: Object
    told: Emit | None = None
    refused: Callable[[ApiError], tuple[Action, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Compare-and-swap: `object` carries the resourceVersion it was made from. `refused` is as of Create."""

    kind: Kind
    object: Object
    subresource: str = ""
    refused: Callable[[ApiError], tuple[Action, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch. `told` and `refused` are as of Create."""

    kind: Kind
    key: Key
    patch: Any
    subresource: str = ""
    told: Emit | None = None
    refused: Callable[[ApiError], tuple[Action, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """`uid` guards against a namesake; an object that is gone already is a success. `refused` is as of Create."""

    kind: Kind
    key: Key
    uid: str = ""
    propagation: str = ""
    grace_seconds: int | None = None
    told: Emit | None = None
    refused: Callable[[ApiError], tuple[Action, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Count what the actions before it did, by `value`; a histogram observes that."""

    metric: Counter | Histogram
    labels: tuple[str, ...] = ()
    value: float = 1

    def carry_out(self) -> None:
        if isinstance(self.metric, Counter):
            self.metric.raise_by(int(self.value), *self.labels)
        else:
            self.metric.observe(self.value, *self.labels)


Action: TypeAlias = Create | Update | Patch | Delete | Emit | Count


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, a run of Creates or of Deletes in slow-start batches; then look again after a while."""

    actions: tuple[Action, ...] = ()
    again_after: timedelta | None = None


NOTHING = Plan()


@dataclass(frozen=True, slots=True)
class Synced:
    """A plan that was made for `key` and carried out: what it asked for, the seconds of both, what it failed with."""

    key: Key
    actions: Sequence[Action]
    seconds: float
    failed: Exception | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """Changes of `kind` concern the keys `keys(entry, view)`, asked of the object as it was and as it is.

    Where there is a `part`, a change that leaves that part of the object as it was concerns nobody.
    """

    kind: Kind
    keys: Callable[[Entry, View], Iterable[Key]]
    part: Callable[[Object], object] | None = None


@dataclass(frozen=True, slots=True)
class Controller:
    """`plan` is pure: what to do for `key`, seen from `view`, at `now`. The first watch is the kind it is about.

    `custom` gives its watch on a custom kind, asked as definitions bring them; None where those do not concern it.
    `speaker` is whom its events come from, where upstream does not name that after the controller.
    `time_set` is told by how much the time of day was set: the times that the controller remembers move with it.
    `longest_wait` is the most seconds that lie between two tries of what fails.
    `synced` counts what came of each plan, `metrics` are the lines that tell of all that is counted.
    """

    name: str
    watches: tuple[Watch, ...]
    plan: Callable[[Key, View, datetime], Plan]
    custom: Callable[[Kind], Watch] | None = None
    speaker: str = ""
    time_set: Callable[[timedelta], None] | None = None
    longest_wait: float = inf
    synced: Callable[[Synced, View], None] | None = None
    metrics: Callable[[View], Iterator[str]] | None = None


def told_of(*metrics: Counter | Histogram) -> Callable[[View], Iterator[str]]:
    """Their lines, as a controller's `metrics`."""
    return lambda view: chain.from_iterable(each.lines() for each in metrics)


def itself(entry: Entry, view: View) -> Iterable[Key]:
    """A change of an object concerns the object."""
    yield entry.key


def its_controller(kind: Kind) -> Callable[[Entry, View], Iterable[Key]]:
    """A change of an object concerns the controller of that kind that owns it."""

    def keys(entry: Entry, view: View) -> Iterable[Key]:
        if entry.owner_uids:
            owner = controller_of(entry.object)
            if owner is not None and owner["kind"] == kind.name:
                yield Key(entry.key.namespace, owner["name"])

    return keys


def soonest(*waits: timedelta | None) -> timedelta | None:
    return min((wait for wait in waits if wait is not None), default=None)


def patch_status(kind: Kind, obj: Object, status: Object) -> tuple[Action, ...]:
    """The write that makes `obj.status` what it should be; none when it is. Fields at zero count as absent."""
    current = obj.get("status") or {}
    if _settled(current) == _settled(status):
        return ()
    return (Patch(kind, key_of(obj), {"status": _difference(current, status)}, subresource="status"),)


def _difference(current: Object, wanted: Object) -> Object:
    """The merge patch that makes one of the other."""
    patch: Object = dict.fromkeys(current.keys() - wanted.keys())
    for name, value in wanted.items():
        before = current.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            patch[name] = _difference(before, value)
        elif name not in current or before != value:
            patch[name] = value
    return patch


def _settled(status: Object) -> Object:
    return {name: value for name, value in status.items() if value or value is False}
