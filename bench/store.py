"""Durable updates of a 2 KB value by concurrent writers: rate and CPU per update.

python bench/store.py [writers] [updates]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time

from pylet.aio.services import run
from pylet.store import open_store


async def main(writers: int, updates: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with open_store(f"sqlite://{directory}/db.sqlite") as store:
            for n in range(1000):
                await store.create(f"/k/{n}", b"x")
            value = b"x" * 2000
            begin, cpu = time.perf_counter(), time.process_time()

            async def write(worker: int) -> None:
                for n in range(updates // writers):
                    await store.update(f"/k/{(worker * 61 + n) % 1000}", value)

            await asyncio.gather(*(write(worker) for worker in range(writers)))
            seconds, used = time.perf_counter() - begin, time.process_time() - cpu
            print(f"{writers} writers: {updates / seconds:.0f}/s, {used / updates * 1e6:.0f} µs CPU an update")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    run(lambda: main(*(arguments + [16, 20000][len(arguments) :])))
