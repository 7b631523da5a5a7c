"""Which API servers there are, and which of them is used: the first that answers, for as long as it does."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence

from pylet.api.backends import SERVICE_NAME
from pylet.api.object import Object
from pylet.client.view import Entry, Table

_NAMESPACE, _SERVICE = "default", "kubernetes"


class Servers:
    """`told` are URLs by configuration; what is learnt comes after them, and is replaced by what is learnt later."""

    def __init__(self, *told: str) -> None:
        self._told = [url.rstrip("/") for url in told]
        self._changed = asyncio.Event()
        self.urls = tuple(dict.fromkeys(self._told))
        self.current = self.urls[0]

    def learn(self, urls: Sequence[str]) -> None:
        """Nothing learnt is no reason to forget."""
        known = tuple(dict.fromkeys([*self._told, *urls]))
        if urls and known != self.urls:
            self.urls = known
            self._changed.set()

    def gave_up(self, url: str) -> bool:
        """Whether there is another one to use instead of `url`; then that is `current`."""
        if url != self.current or len(self.urls) < 2:
            return False
        at = self.urls.index(url) if url in self.urls else -1
        self.current = self.urls[(at + 1) % len(self.urls)]
        return True

    def follow(self, slices: Table) -> None:
        """Learn from a table of EndpointSlices, now and whenever it changes."""

        def learn() -> None:
            self.learn(api_servers(entry.object for entry in slices.with_label(SERVICE_NAME, _NAMESPACE, _SERVICE)))

        def changed(before: Entry | None, after: Entry | None) -> None:
            if after is not None and (after.key.namespace, after.labels.get(SERVICE_NAME)) == (_NAMESPACE, _SERVICE):
                learn()

        slices.listen(changed)
        learn()

    async def changed(self) -> None:
        """Wait until others are known than at the last call; one waits at a time."""
        await self._changed.wait()
        self._changed.clear()


def spread(urls: Iterable[str], who: str) -> list[str]:
    """The same URLs in `who`'s own order: of many who are told of the same servers, as many begin with each."""
    return sorted(urls, key=lambda url: hashlib.sha256(f"{who} {url}".encode()).digest())


def api_servers(slices: Iterable[Object]) -> tuple[str, ...]:
    """The URLs of the API servers, as the endpoints of the Service `default/kubernetes` have them."""
    found = []
    for one in slices:
        meta = one["metadata"]
        if meta["namespace"] != _NAMESPACE or (meta.get("labels") or {}).get(SERVICE_NAME) != _SERVICE:
            continue
        ports = [port["port"] for port in one.get("ports") or () if port.get("name") == "https"]
        for endpoint in one.get("endpoints") or ():
            for address in endpoint["addresses"] if ports else ():
                found.append(f"https://{f'[{address}]' if ':' in address else address}:{ports[0]}")
    return tuple(sorted(found))
