"""Pylet's own encryption configuration: keys it makes itself, kept in `server/cred/encryption-config.json`.

What `--secrets-encryption` turns on and `pylet secrets-encrypt` changes while the server runs. A change is written down
before it is used, with all keys that what is stored may be sealed with; keys that seal nothing any more are dropped
at its end.
"""

from __future__ import annotations

import asyncio
import base64
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from pylet.aio import wholefile
from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.server.encryption.configuration import API_VERSION, KIND, BadConfiguration, read
from pylet.server.encryption.store import EncryptedStore

_IDENTITY: Object = {"identity": {}}
_RESOURCES = ["secrets"]
_ROOT = "/registry/core/secrets/"
ACTIONS = ("enable", "disable", "rotate-keys")


class OwnKeys:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._changing = asyncio.Lock()

    def exists(self) -> bool:
        return self._file.exists()

    def ensure(self, now: datetime) -> Any:
        """The configuration; made now if there is none. Raises: OSError, BadConfiguration."""
        if not self.exists():
            self._write([_provider([_key(now)]), _IDENTITY])
        try:
            return orjson.loads(self._file.read_bytes())
        except orjson.JSONDecodeError as bad:
            raise BadConfiguration(f"{self._file}: {bad}") from bad

    def status(self) -> Object:
        """Whether secrets are sealed when written, and the keys by their names, the one in use first."""
        providers = self._providers()
        keys = [key["name"] for provider in providers for key in (provider.get("aesgcm") or {}).get("keys", ())]
        enabled = providers[0] != _IDENTITY
        return {"enabled": enabled, "provider": "AES-GCM", "active": keys[0] if enabled else "", "keys": keys}

    async def change(self, action: str, store: EncryptedStore, now: datetime) -> int:
        """Take one of ACTIONS and bring what is stored in line; how many secrets were written. Raises: OSError,
        StoreError, BadRequest."""
        async with self._changing:
            keys = [key for provider in self._providers() for key in (provider.get("aesgcm") or {}).get("keys", ())]
            if action == "rotate-keys":
                if not self.status()["enabled"]:
                    raise BadRequest("secrets are not encrypted: enable that first")
                keys = [_key(now), *keys]
            providers = [_provider(keys), _IDENTITY]
            self._use(providers[::-1] if action == "disable" else providers, store)
            written = await store.rewrite(_ROOT)
            if action == "rotate-keys":
                self._use([_provider(keys[:1]), _IDENTITY], store)
            return written

    def _use(self, providers: list[Object], store: EncryptedStore) -> None:
        self._write(providers)
        store.rules = read(_document(providers))

    def _providers(self) -> list[Object]:
        found: list[Object] = orjson.loads(self._file.read_bytes())["resources"][0]["providers"]
        return found

    def _write(self, providers: list[Object]) -> None:
        wholefile.write(self._file, orjson.dumps(_document(providers), option=orjson.OPT_INDENT_2), durable=True)


def _document(providers: list[Object]) -> Object:
    resources = [{"resources": _RESOURCES, "providers": providers}]
    return {"kind": KIND, "apiVersion": API_VERSION, "resources": resources}


def _provider(keys: list[Object]) -> Object:
    return {"aesgcm": {"keys": keys}}


def _key(now: datetime) -> Object:
    return {"name": f"key-{now:%Y%m%dT%H%M%S%f}", "secret": base64.b64encode(os.urandom(32)).decode()}
