"""Long computations apart from the loop: in one thread, one at a time, so that no few large requests take all memory.

The loop waits for that thread at most as long as one call into C takes, and the interpreter's switch interval (5 ms).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

T = TypeVar("T")

LARGE_BYTES = 16 << 10  # up to 100 ms on the loop; the way to the thread and back takes 0.1


async def apart(size_bytes: int, compute: Callable[[], T]) -> T:
    """What `compute` returns, which works on data of about that size and touches nothing that others change.

    In the thread it sees the caller's context, and what it changes of that ends with it.
    """
    if size_bytes < LARGE_BYTES:
        return compute()
    return await asyncio.get_running_loop().run_in_executor(_thread(), copy_context().run, compute)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "apart")
