"""The API objects that this node's pods refer to: read once, watched as long as a pod refers to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object, dig, key_of
from pylet.client.interface import Client, Tables
from pylet.client.view import Entry

_RENEW_AFTER = 0.8  # of a token's life, as upstream's token manager
_LONGEST = timedelta(hours=24)


class ApiReferences:
    """`References` over the API. `changed` hears of every change of an object that was asked for and not released."""

    def __init__(self, client: Client, tables: Tables, clock: Clock, changed: Callable[[Kind, Key], None]) -> None:
        self._client = client
        self._tables = tables
        self._clock = clock
        self._changed = changed
        self._silence: dict[tuple[Kind, Key], Callable[[], None]] = {}
        self._tokens: dict[tuple[str, str, int], tuple[Object, datetime]] = {}

    async def get(self, kind: Kind, key: Key) -> Object | None:
        table = await self._tables.object_table(kind, key)
        if (kind, key) not in self._silence:

            def hear(before: Entry | None, after: Entry | None) -> None:
                entry = after or before
                if entry is not None and entry.key == key:
                    self._changed(kind, key)

            self._silence[kind, key] = table.listen(hear)
        entry = table.entries.get(key)
        return None if entry is None else entry.object

    async def read(self, kind: Kind, key: Key) -> Object | None:
        try:
            return await self._client.get(kind, key)
        except NotFound:
            return None

    def release(self, kind: Kind, key: Key) -> None:
        """Nobody refers to the object any more: stop watching it."""
        if silence := self._silence.pop((kind, key), None):
            silence()
            self._tables.release(kind, key)

    async def token(self, pod: Object, audience: str, expiration_seconds: int) -> tuple[Object, datetime]:
        which = (pod["metadata"]["uid"], audience, expiration_seconds)
        now = self._clock.now()
        if which in self._tokens and self._tokens[which][1] > now:
            return self._tokens[which]
        meta = pod["metadata"]
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": expiration_seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
            },
        }
        account = Key(meta["namespace"], dig(pod, "spec", "serviceAccountName", default="default"))
        answer = await self._client.create(SERVICE_ACCOUNT, request, key=account, subresource="token")
        life = timestamps.parse(answer["status"]["expirationTimestamp"]) - now
        self._tokens[which] = answer["status"], now + min(life * _RENEW_AFTER, _LONGEST)
        return self._tokens[which]

    async def say(self, claim: Object, status: Object) -> None:
        await self._client.patch(CLAIM, key_of(claim), {"status": status}, subresource="status")

    def forget_tokens(self, pod_uid: str) -> None:
        for which in [which for which in self._tokens if which[0] == pod_uid]:
            del self._tokens[which]
