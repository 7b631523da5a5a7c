from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from pylet.aio.apart import LARGE_BYTES, apart


@pytest.mark.parametrize(
    ("size", "is_here"),
    [
        pytest.param(LARGE_BYTES - 1, True, id="what is small is done at once"),
        pytest.param(LARGE_BYTES, False, id="what is large has a thread"),
    ],
)
async def test_where_it_is_done(size: int, is_here: bool) -> None:
    assert (await apart(size, threading.current_thread) is threading.current_thread()) is is_here


async def test_what_is_raised_comes_back() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await apart(LARGE_BYTES, fail)


async def test_it_sees_the_callers_context_and_leaves_it_alone() -> None:
    told: ContextVar[str] = ContextVar("told", default="")
    told.set("caller")

    def tell() -> str:
        before = told.get()
        told.set("thread")
        return before

    assert [await apart(LARGE_BYTES, tell) for _ in range(2)] == ["caller", "caller"]
    assert told.get() == "caller"
