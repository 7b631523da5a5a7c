"""A Client that asks the server first and, while that is away, answers from the node's memory what a pod's start needs.

It answers reads of single objects and the last token of a pod; all else fails as it does without it. A server that has
just not answered is not waited for again at each question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from pylet.agent.offline.endpoints import Corrections
from pylet.agent.offline.memory import DiskMemory
from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import ApiError, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.certificatesigningrequest import KIND as CSR
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object
from pylet.client.interface import Changes, Client, Listing, PatchType, Unreachable

_PATIENCE_SECONDS = 3.0
_AWAY_SECONDS = 5.0
_TOKEN_LIFE = timedelta(seconds=75)
_NEVER = frozenset({POD, LEASE, CSR})  # pods are remembered as a table; the others matter only to the server


class RememberingClient:
    """A `Client` over `inner` and `memory`; `corrections` hear of statuses that could not be sent."""

    def __init__(self, inner: Client, memory: DiskMemory, corrections: Corrections, clock: Clock) -> None:
        self._inner = inner
        self._corrections = corrections
        self._memory = memory
        self._clock = clock
        self._away_until = 0.0

    async def get(self, kind: Kind, key: Key, *, subresource: str = "") -> Object:
        if subresource or kind in _NEVER:
            return await self._inner.get(kind, key, subresource=subresource)
        try:
            return await self._or_remembered(
                lambda: self._inner.get(kind, key),
                lambda found: self._memory.remember_object(kind, found, key),
                lambda: self._memory.recall_object(kind, key),
            )
        except NotFound:
            self._memory.forget_object(kind, key)
            raise

    async def create(self, kind: Kind, obj: Object, *, key: Key | None = None, subresource: str = "") -> Object:
        if kind is not SERVICE_ACCOUNT or subresource != "token" or key is None:
            return await self._inner.create(kind, obj, key=key, subresource=subresource)
        account = key
        return await self._or_remembered(
            lambda: self._inner.create(kind, obj, key=account, subresource=subresource),
            lambda answer: self._memory.remember_token(account, obj["spec"], answer),
            lambda: self._last_token(account, obj["spec"]),
        )

    def _last_token(self, account: Key, spec: Object) -> Object | None:
        """The last token of its pod, to be asked for again soon.

        Also one that has expired: a pod starts with it, and by the time there is a server to show it to there is
        another.
        """
        known = self._memory.recall_token(account, spec)
        if known is None:
            return None
        soon = timestamps.format_time(self._clock.now() + _TOKEN_LIFE)
        return {**known, "status": {**known["status"], "expirationTimestamp": soon}}

    async def _or_remembered(
        self,
        ask: Callable[[], Awaitable[Object]],
        remember: Callable[[Object], None],
        recall: Callable[[], Object | None],
    ) -> Object:
        """Raises: ApiError where the server refuses, or is away and nothing is known."""
        if self._clock.monotonic() < self._away_until and (known := recall()) is not None:
            return known
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS) as patience:
                answer = await ask()
        except TimeoutError as late:
            if not patience.expired():
                raise
            away: ApiError = Unreachable(f"the API server has not answered within {_PATIENCE_SECONDS:g} s")
            away.__cause__ = late
        except ApiError as failed:
            if failed.code < 500:
                raise
            away = failed
        else:
            remember(answer)
            return answer
        if (known := recall()) is None:
            raise away
        self._away_until = self._clock.monotonic() + _AWAY_SECONDS
        return known

    async def patch(
        self, kind: Kind, key: Key, patch: Any, *, type_: PatchType = PatchType.MERGE, **options: Any
    ) -> Object:
        is_status = kind is POD and options.get("subresource") == "status"
        try:
            answer = await self._inner.patch(kind, key, patch, type_=type_, **options)
        except ApiError as failed:
            if is_status and failed.code >= 500:
                self._corrections.unsent(key, patch.get("status") or {})
            raise
        if is_status:
            self._corrections.sent(key)
        return answer

    # ---- as it is

    async def list(self, kind: Kind, namespace: str = "", **selection: Any) -> Listing:
        return await self._inner.list(kind, namespace, **selection)

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        return await self._inner.update(kind, obj, subresource=subresource)

    async def delete(self, kind: Kind, key: Key, **options: Any) -> Object:
        return await self._inner.delete(kind, key, **options)

    def watch(self, kind: Kind, namespace: str = "", **selection: Any) -> AsyncIterator[Changes]:
        return self._inner.watch(kind, namespace, **selection)
