"""The Secrets that hold certificates: watched one by one while somebody names them, and checked before a proxy reads
them, so that a bad one harms nobody else."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object, key_of
from pylet.client.interface import Tables
from pylet.client.view import Entry, Table


class Certificates:
    """`changed` is called when one of those followed is another than before."""

    def __init__(self, tables: Tables, directory: Path, changed: Callable[[], None]) -> None:
        self._tables = tables
        self._directory = directory
        self._changed = changed
        self._watching: dict[Key, asyncio.Task[None]] = {}
        self._found: dict[Key, Table] = {}
        self._checked: dict[Key, tuple[int, bytes | str]] = {}

    def follow(self, secrets: set[Key], group: asyncio.TaskGroup) -> None:
        """Watch these, and no others."""
        for key in self._watching.keys() - secrets:
            self._watching.pop(key).cancel()
        for key in secrets - self._watching.keys():
            self._watching[key] = group.create_task(self._watch(key))

    async def pems(self) -> dict[Key, bytes | str]:
        """By Secret its PEM, that TLS can use, or why there is none; "" while it is still asked for."""
        return {key: await self._pem(key) for key in list(self._watching)}

    async def _watch(self, key: Key) -> None:
        try:
            table = self._found[key] = await self._tables.object_table(SECRET, key)
            self._changed()
            stop = table.listen(lambda before, after: self._heard(key, before, after))
            try:
                await asyncio.Event().wait()
            finally:
                stop()
        finally:
            self._found.pop(key, None)
            self._checked.pop(key, None)
            self._tables.release(SECRET, key)

    def _heard(self, key: Key, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is not None and entry.key == key:
            self._changed()

    async def _pem(self, key: Key) -> bytes | str:
        if key not in self._found:
            return ""
        entry = self._found[key].entries.get(key)
        if entry is None:
            return f'Secret "{key}" is not there'
        known = self._checked.get(key)
        if known is None or known[0] != entry.revision:
            known = self._checked[key] = entry.revision, await asyncio.to_thread(self._check, entry.object)
        return known[1]

    def _check(self, secret: Object) -> bytes | str:
        where, data = f'Secret "{key_of(secret)}"', secret.get("data") or {}
        if not data.get("tls.crt") or not data.get("tls.key"):
            return f"{where} has no tls.crt and tls.key"
        pem = b64decode(data["tls.crt"]) + b"\n" + b64decode(data["tls.key"])
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._directory) as file:
            file.write(pem)
            file.flush()
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, password="")
            except (OSError, ValueError) as failed:
                return f"{where}: {failed}"
        return pem
