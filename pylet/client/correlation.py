"""Which events are told, and as what: many that differ in their words alone become one, and a source that says too much
of an object is not heard for a while. Pure: told the time.

Source: client-go tools/record/events_cache.go (EventCorrelator).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

_REMEMBERED = 4096
_SIMILAR, _SIMILAR_SECONDS = 10, 600.0
_BURST, _REFILL_SECONDS = 25, 300.0
_COMBINED = "(combined from similar events): "
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """What an event is told as: `which` is the same for those that count as one, `is_spam` says not to tell it."""

    which: int
    message: str
    is_combined: bool
    is_spam: bool


class Correlator:
    """Of one source. What is longest unheard of is forgotten first."""

    def __init__(self) -> None:
        self._similar: OrderedDict[int, tuple[set[int], float]] = OrderedDict()  # messages, and when there was one
        self._tokens: OrderedDict[int, tuple[float, float]] = OrderedDict()  # how many are left, and of when

    def see(self, about: Hashable, type_: str, reason: str, message: str, field_path: str, now: float) -> Seen:
        """`about` is the object; `now` in seconds of any clock that does not go back."""
        similar = hash((about, type_, reason))
        messages, last = self._similar.get(similar, (set[int](), now))
        if now - last > _SIMILAR_SECONDS:
            messages = set()
        messages.add(hash(message))
        _keep(self._similar, similar, (messages, now))
        is_spam = not self._take(hash((about, type_)), now)
        if len(messages) < _SIMILAR:
            return Seen(hash((about, type_, reason, message, field_path)), message, False, is_spam)
        messages.pop()
        return Seen(similar, _COMBINED + message, True, is_spam)

    def _take(self, key: int, now: float) -> bool:
        left, at = self._tokens.get(key, (_BURST, now))
        left = min(_BURST, left + (now - at) / _REFILL_SECONDS)
        takes = left >= 1
        _keep(self._tokens, key, (left - takes, now))
        return takes


def _keep(known: OrderedDict[int, T], key: int, value: T) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
