import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from pylet.aio.paced import Paced


class Loop:
    """Notes what it is to run, and after how many seconds."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Callable[[], None]]] = []

    def call_soon(self, run: Callable[..., None], callback: Callable[[], None]) -> None:
        self.asked.append((0.0, lambda: run(callback)))

    def call_later(self, seconds: float, run: Callable[..., None], callback: Callable[[], None]) -> None:
        self.asked.append((seconds, lambda: run(callback)))


@pytest.mark.parametrize(
    ("took", "later", "wait"),
    [
        pytest.param(0.0004, 0.0, 0.0, id="a short one delays nothing"),
        pytest.param(0.002, 0.0, 0.004, id="after a long one the loop is others' for twice as long"),
        pytest.param(0.002, 0.003, 0.001, id="what is left of it"),
        pytest.param(0.1, 0.0, 0.005, id="but not for long"),
        pytest.param(0.002, 0.004, 0.0, id="nothing is left of it"),
    ],
)
def test_a_callback_that_took_long_is_followed_by_a_rest(took: float, later: float, wait: float) -> None:
    now, loop, ran = [100.0], Loop(), []

    def work() -> None:
        ran.append(now[0])
        now[0] += took

    soon = Paced(cast(asyncio.AbstractEventLoop, cast(Any, loop)), lambda: now[0])
    soon(work)
    loop.asked[0][1]()
    now[0] += later
    soon(work)
    assert [seconds for seconds, _ in loop.asked] == [0.0, pytest.approx(wait, abs=1e-9)]
    loop.asked[1][1]()
    assert len(ran) == 2
