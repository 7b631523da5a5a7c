"""What watchers have been told and have not taken: as much as one may leave, and all of them together."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

LITTLE_BYTES = 256 << 10
MOST_BYTES = 8 << 20
MOST_TOGETHER_BYTES = 64 << 20


class Held(Protocol):
    def get_write_buffer_size(self) -> int: ...


W = TypeVar("W", bound=Held)
T = TypeVar("T")


class Backlog(Generic[W, T]):
    """Who is behind is known by his transport, and what he is told of."""

    def __init__(self) -> None:
        self._behind: dict[W, T] = {}

    def slowest(self, transport: W, told: T) -> tuple[W, T] | None:
        """Who has to go before this one is told more: he himself, or who has left most where all have left too much."""
        left = transport.get_write_buffer_size()
        if left <= LITTLE_BYTES:
            return None
        self._behind[transport] = told
        if left > MOST_BYTES:
            return transport, told
        sizes = {one: one.get_write_buffer_size() for one in self._behind}
        self._behind = {one: what for one, what in self._behind.items() if sizes[one] > LITTLE_BYTES}
        if sum(sizes.values()) <= MOST_TOGETHER_BYTES:
            return None
        slow = max(self._behind, key=lambda one: sizes[one])
        return slow, self._behind[slow]

    def forget(self, transport: W) -> None:
        self._behind.pop(transport, None)
