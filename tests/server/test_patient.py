"""Short computations end where they began; long ones begin anew where nobody waits."""

from __future__ import annotations

import threading

import pytest

from pylet.aio.apart import LARGE_BYTES
from pylet.api import patience
from pylet.api.cel import re2
from pylet.api.cel.program import Budget
from pylet.api.errors import Timeout
from pylet.server.patient import patient
from tests.api.cel.expressions import value_of

SLOW = "((a{0,10}){0,10}){0,10}b"


def where(steps: int) -> list[int]:
    """The threads that get to the end of that many steps."""
    for _ in range(steps // 100):
        patience.spend(100)
    return [threading.get_ident()]


@pytest.mark.parametrize(("size", "steps", "stays"), [(1, 1000, True), (1, 10**6, False), (LARGE_BYTES, 0, False)])
async def test_what_is_long_ends_in_another_thread(size: int, steps: int, stays: bool) -> None:
    assert ((await patient(size, lambda: where(steps))) == [threading.get_ident()]) is stays


async def test_what_takes_too_long_ends() -> None:
    with pytest.raises(Timeout):
        await patient(1, lambda: patience.spend(patience.MOST_STEPS + 1))
    assert await patient(1, lambda: where(1000))


def test_nobody_waits_where_nobody_said_so() -> None:
    assert where(10**7)
    assert patience.within(patience.STEPS, lambda: where(100))
    assert patience.left() is None


@pytest.mark.parametrize("source", ["x.all(a, x.all(b, a + b >= 0))", "x.all(a, x.all(b, a + b >= 0)) || true"])
def test_an_expression_that_costs_much_is_begun_anew(source: str) -> None:
    values = list(range(300))
    with pytest.raises(patience.Longer):
        patience.within(patience.STEPS, lambda: value_of(source, Budget(), x=values))
    assert value_of(source, Budget(), x=values) is True


def test_so_are_many_that_cost_little() -> None:
    def many() -> None:
        for _ in range(1000):
            assert value_of("x.all(a, a >= 0)", Budget(), x=list(range(30))) is True

    with pytest.raises(patience.Longer):
        patience.within(patience.STEPS, many)


def test_a_pattern_of_many_states_is_begun_anew() -> None:
    with pytest.raises(patience.Longer):
        patience.within(patience.STEPS, lambda: re2.search("a" * 1000, SLOW))
    assert not re2.search("a" * 50, SLOW)
