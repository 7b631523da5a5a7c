"""Run a program's components together: one fails, all stop; SIGTERM and SIGINT stop them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

_TLS_READ_BYTES = 16384


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` in the fastest loop there is, until it returns or a signal cancels it."""
    try:
        import uvloop
    except ImportError:
        # Without uvloop a TLS connection costs 286 kB, most of it this buffer; with it 46 kB.
        from asyncio import sslproto

        sslproto.SSLProtocol.max_size = _TLS_READ_BYTES
        factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


async def until_signalled(main: Awaitable[None]) -> None:
    """Await `main`; SIGTERM or SIGINT cancels it, and its `finally` blocks are the orderly stop."""
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, task)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _stop(task: asyncio.Future[None]) -> None:
    notify("STOPPING=1")
    task.cancel()


def leaves(group: BaseExceptionGroup[E]) -> Iterator[E]:
    """The exceptions themselves, out of groups within groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def notify(state: str) -> None:
    """Tell systemd (`READY=1`, `STOPPING=1`, `STATUS=…`); nothing happens when it is not the one who started us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), address)
