"""The time of day being set: by NTP after a start without a battery's clock, by hand, over a suspend of the machine.

Whoever waits for a date waits on the monotonic clock, so it has to look again then. The kernel would tell (a timerfd
with TFD_TIMER_CANCEL_ON_SET); the two clocks are compared instead, which costs 20 µs each time and works everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pylet.aio.clock import Clock

LEAST = timedelta(seconds=30)
"""Less is not worth a start from the beginning: leases and graces are longer."""
_LOOK_SECONDS = 10.0


class Steps:
    """How the time of day was set since this was made."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = self._now()

    def taken(self) -> timedelta:
        """By how much it was set since this was last asked; nothing where that is less than `LEAST`."""
        ahead = self._now()
        moved, self._ahead = timedelta(seconds=ahead - self._ahead), ahead
        return moved if abs(moved) >= LEAST else timedelta()

    def _now(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()


async def sleep(clock: Clock, seconds: float = float("inf")) -> timedelta:
    """Sleep for so long, or until the time of day was set: by how much, then."""
    steps, until = Steps(clock), clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0:
        await clock.sleep(min(left, _LOOK_SECONDS))
        if moved := steps.taken():
            return moved
    return timedelta()


async def follow(clock: Clock, heed: Callable[[], None]) -> None:
    """Call `heed` whenever it was set, until cancelled."""
    while True:
        await sleep(clock)
        heed()
