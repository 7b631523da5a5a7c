"""Where the cluster's state lives: `open_store` gives a Store by URL, whatever engine is behind it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from pylet.store import drivers
from pylet.store.interface import Store, StoreError


class Driver(Protocol):
    async def open(self, url: SplitResult, volatile: tuple[str, ...]) -> Store: ...


@asynccontextmanager
async def open_store(url: str, *, volatile: tuple[str, ...] = ()) -> AsyncIterator[Store]:
    """The store at `url`, whose scheme names the driver; keys under `volatile` prefixes never reach a disk.

    Raises: StoreError.
    """
    split = urlsplit(url)
    for info in pkgutil.iter_modules(drivers.__path__):
        if info.name == split.scheme:
            driver: Driver = importlib.import_module(f"{drivers.__name__}.{info.name}").DRIVER
            store = await driver.open(split, volatile)
            break
    else:
        known = ", ".join(sorted(info.name for info in pkgutil.iter_modules(drivers.__path__)))
        raise StoreError(f"no store driver for {url!r}: known are {known}")
    try:
        yield store
    finally:
        await store.close()
